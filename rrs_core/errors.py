"""Everything that is refused on purpose: one type, one code each, one line.

The library raises, the command line prints `rrs: error: [CODE] ...` and exits 2,
a page shows the same line. Anything that is not an `RRSError` is a bug.
"""

from __future__ import annotations


class RRSError(Exception):
    """A refusal: what; where; got, expected; what to do.

    Parameters
    ----------
    code : str
        Refusal code, upper case, stable: scripts and tests match on it.
    what : str
        What is wrong, in words.
    where : str
        The file, table, row or setting concerned.
    got, expected : object
        What was found and what would have been accepted; left out when empty.
    todo : str
        What the user can do about it.

    Examples
    --------
    >>> str(RRSError("FOFF", "channel width is zero", where="a.fil", got=0.0, expected="a non-zero MHz value"))
    'channel width is zero; a.fil; got 0.0, expected a non-zero MHz value'
    """

    def __init__(
        self,
        code: str,
        what: str,
        *,
        where: object = "",
        got: object = "",
        expected: object = "",
        todo: str = "",
    ) -> None:
        found = ", ".join(f"{name} {value}" for name, value in (("got", got), ("expected", expected)) if f"{value}")
        parts = [what, f"{where}", found, todo]
        super().__init__("; ".join(one_line(part) for part in parts if part))
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as it is: refusals come back from worker processes."""
        return refusal, (type(self), self.code, *self.args)

    def line(self) -> str:
        """Return the contract's one line for stderr."""
        return f"rrs: error: [{self.code}] {self}"


def refusal(kind: type[RRSError], code: str, text: str) -> RRSError:
    """Return a refusal whose text is already made: one that was pickled, or noted in a manifest."""
    error = kind.__new__(kind, text)
    error.args, error.code = (text,), code
    return error


class FileRefused(RRSError):
    """An observation file, snippet or other input file that cannot be used."""


class SettingsRefused(RRSError):
    """A setting, option or argument that cannot be used."""


class SurveyRefused(RRSError):
    """A survey folder that is missing, incomplete or changed behind our back."""


class AccessRefused(RRSError):
    """Somebody who may not see the survey, or not yet."""


def one_line(text: str, limit: int = 400) -> str:
    """Return `text` on one line, control characters shown as escapes, at most `limit` characters.

    Header words of foreign files end up in messages: a line feed or a terminal
    escape in a source name must not forge a second line.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
