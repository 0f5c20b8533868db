"""Turn the bytes of an answer into plain content: whatever their character set, and although a value is no JSON."""

import json
import math
import re
from typing import Any

import msgspec

from airqino.errors import AnswerTooLargeError, NotJSONError, UnexpectedShapeError
from airqino.source.values import EXAMPLE, tidy

__all__ = ["MAX_ROWS", "check_size", "content_of", "error_text", "reported_failure", "said", "text_of"]

#: The most rows of one answer: 11 years of hours. The API's own answer without dates has 8,760.
MAX_ROWS = 100_000

_FIELDS_PER_ROW = 16  # the API's row has 9
_SMALL = 1 << 20  # bytes that cannot hold too much to read at once
_REPAIRABLE = 8 << 20  # characters; a year has 2 million, and a repair of this many takes some seconds
#: Character sets that an answer may declare and that take linear time to read.
_CHARSETS = re.compile(
    r"(iso-?8859-?\d+|latin-?\d+|(windows-?|cp-?)\d+|utf-?(8|16|32)([-_]?[lb]e)?|us-ascii|ascii|mac-?roman|koi8-[ru]"
    r"|gbk|gb2312|gb18030|big5|shift[-_]jis|euc-(jp|kr))",
    re.IGNORECASE,
)
#: A string; a number with a decimal comma, which in an object is no two values; a value left out; a comma after the
#: last value; or a bare word.
_TOKEN = re.compile(
    r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|(?<=:)\s*+-?\d++,\d++(?=\s*+[,}])|(?<=:)\s*+(?=[,}])|,(?=\s*+[\]}])|[^\s,:\[\]{}"]++',
    re.DOTALL,
)
_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_LONGEST_WORD = 64
_TAGS = re.compile(r"<[^<>]*>")
_TEXT_KEYS = ("error_description", "message", "detail", "error", "errors", "title", "reason", "msg", "description")
_LONGEST_ERROR = 200


def check_size(body: bytes) -> None:
    """Refuse what would take more memory to read than an answer is worth.

    Raises:
        AnswerTooLargeError: It has more rows or values than `MAX_ROWS` rows have.
    """
    for mark, most in ((b"{", MAX_ROWS), (b",", MAX_ROWS * _FIELDS_PER_ROW)):
        if len(body) > _SMALL and (count := body.count(mark)) > most:
            what = "objects" if mark == b"{" else "values"
            raise AnswerTooLargeError(f"the answer has {count} {what}, more than {MAX_ROWS} hours can have")


def text_of(body: bytes, charset: str | None = None) -> str:
    """Decode a body: by its byte order mark or the pattern of its zeros, as UTF-8, as declared, or as Latin-1.

    Args:
        body: The body as it came.
        charset: What the Content-Type header declares, if anything.

    Returns:
        The text without byte order mark, and without white space and zeros around it.
    """
    candidates: list[str] = [json.detect_encoding(body)]
    if charset and _CHARSETS.fullmatch(charset.strip()):
        candidates.append(charset.strip())
    for candidate in candidates:
        try:
            return body.decode(candidate).lstrip("\ufeff").strip(" \t\r\n\x00")
        except (UnicodeDecodeError, LookupError):
            continue
    return body.decode("latin-1").strip(" \t\r\n\x00")


def content_of(text: str) -> Any:
    """Read a text as JSON, or as what was meant to be JSON.

    A bare word that is none (``NaN``, ``nan``, ``+5``, ``1e400``) and a bare ``12,5`` become strings, a value left out
    becomes null, a comma too many is dropped.

    Raises:
        NotJSONError: It is not JSON in spite of that.
        UnexpectedShapeError: It is nested too deeply.
    """
    try:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError):
            if len(text) > _REPAIRABLE:
                raise
        # Python's own reader takes control characters within strings and half surrogates
        return json.loads(_TOKEN.sub(_repaired, text), strict=False)
    except RecursionError:
        raise UnexpectedShapeError("the answer has another shape: it is nested too deeply") from None
    except ValueError as error:
        where = f"at character {error.pos}" if isinstance(error, json.JSONDecodeError) else tidy(error)
        begins = tidy(_TAGS.sub(" ", text[: 50 * EXAMPLE])) or "nothing"
        raise NotJSONError(f"the answer is not JSON ({where}): it begins with {begins!r}") from None


def _repaired(match: re.Match[str]) -> str:
    token = match[0].strip()
    if token == ",":
        return ""
    if not token:
        return "null"
    if token[0] == '"' or _is_json(token):
        return token
    before = match.start() - 1
    while before >= 0 and match.string[before].isspace():
        before -= 1
    stands_for_a_value = before >= 0 and match.string[before] in ":,["
    return json.dumps(token[:_LONGEST_WORD]) if stands_for_a_value else token


def _is_json(word: str) -> bool:
    if word in ("true", "false", "null"):
        return True
    return len(word) <= _LONGEST_WORD and bool(_JSON_NUMBER.fullmatch(word)) and math.isfinite(float(word))


def error_text(body: bytes, charset: str | None = None) -> str:
    """Return what an API says of a fault in the body of an answer, as one line; empty if it says nothing."""
    text = text_of(body[: 1 << 16], charset)
    try:
        return said(content_of(text))
    except (NotJSONError, UnexpectedShapeError):
        return tidy(_TAGS.sub(" ", text), _LONGEST_ERROR)


def said(content: Any, depth: int = 3) -> str:
    """Find the text of an API's message: under one of the usual names, or in what lies there; empty without any."""
    if isinstance(content, str | int) and not isinstance(content, bool):
        return tidy(content, _LONGEST_ERROR)
    if depth and isinstance(content, list):
        return next(filter(None, (said(entry, depth - 1) for entry in content[:3])), "")
    if depth and isinstance(content, dict):
        fields = {str(name).casefold(): field for name, field in content.items()}
        found = (said(fields[name], depth - 1) for name in _TEXT_KEYS if fields.get(name))
        return next(filter(None, found), "")
    return ""


def reported_failure(content: dict[str, Any]) -> str:
    """Return the error message that an object without rows is, empty if it is none.

    It is one if it names an error, if it says that it did not succeed, or if it says something in place of data. A
    remark beside an empty list of data is none.
    """
    fields = {str(name).casefold(): field for name, field in content.items()}
    if (
        any(fields.get(name) for name in ("error", "errors", "error_description"))
        or str(fields.get("status", "")).casefold() in ("error", "fail", "failed", "failure")
        or fields.get("success") is False
    ):
        return said(content) or "no reason given"
    return said(content) if fields.get("data") is None else ""
