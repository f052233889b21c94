"""The stages of a build, one module each; `pipeline` knows their order."""
