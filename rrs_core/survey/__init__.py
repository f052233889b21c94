"""What is kept: the tables of a survey, the survey on disk, read-only questions to it."""
