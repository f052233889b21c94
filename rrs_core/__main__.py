"""`python -m rrs_core VERB` is `rrs VERB`."""

from __future__ import annotations

from rrs_core.cli import main

if __name__ == "__main__":
    main()
