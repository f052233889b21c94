"""The pages of the dashboard, registered one by one in app.py."""
