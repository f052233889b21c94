"""Read one snippet out of an uploaded observation, in a process of its own.

Run as `python -I parse_upload.py FILE OUT [FREQUENCY_MHZ]`. The process takes its own
limits before it loads any reader, writes only OUT (JSON), and ends. Whatever a hostile
file does to a reader happens here, not in the server.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
from pathlib import Path

LIMITS = {
    resource.RLIMIT_AS: 2 * 2**30,  # address space [bytes]
    resource.RLIMIT_CPU: 60,  # [s]
    resource.RLIMIT_FSIZE: 2**20,  # largest file written [bytes]
    resource.RLIMIT_NOFILE: 64,
    resource.RLIMIT_CORE: 0,
}


def main() -> None:
    """Take the limits, read, write the answer: the snippet, or the refusal's code and text."""
    for what, most in LIMITS.items():
        resource.setrlimit(what, (most, most))
    sys.path.insert(0, f"{Path(__file__).resolve().parents[2]}")
    from rrs_core.errors import RRSError
    from rrs_core.observe.snippetfiles import read_snippet

    source, out, *more = sys.argv[1:]
    try:
        snippet = read_snippet(Path(source), frequency_mhz=float(more[0]) if more else None)
        power = base64.b64encode(snippet.power.astype("<f4").tobytes()).decode()
        answer = {"power": power, "frequency_mhz": snippet.frequency_mhz, "note": snippet.note}
    except RRSError as error:
        answer = {"code": error.code, "text": f"{error}"}
    except MemoryError:
        answer = {"code": "MEMORY", "text": "the file needs more memory than an upload may take"}
    Path(out).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
