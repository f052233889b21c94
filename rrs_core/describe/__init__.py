"""From hits to snippets and latents. Only this wing imports torch."""
