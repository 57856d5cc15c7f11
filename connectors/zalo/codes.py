"""Every documented answer code of Zalo's template messages (ZNS, since 2026 "ZBS"), Official Account API and OAuth.

Sources, checked 2026-11-23 in stored copies, never against live Zalo: the error tables of
developers.zalo.me (ZNS/ZBS, "handle error code" page and its API pages; Official Account API) for the
meanings; the classes are our own reading of what a caller should do. Codes are integers, nearly all
negative, often sent as strings, and nearly always with HTTP 200.
"""

from enum import Enum

from amends.domain.outcome import OutcomeClass

_R = OutcomeClass.RETRY_LATER
_A = OutcomeClass.REFRESH_CREDENTIALS
_W = OutcomeClass.WAIT_FOR_WINDOW
_H = OutcomeClass.NEEDS_HUMAN
_P = OutcomeClass.PAYLOAD_REFUSED
_U = OutcomeClass.UNREACHABLE

ZNS_CODES: dict[int, tuple[OutcomeClass, str]] = {
    0: (OutcomeClass.ACCEPTED, "success"),
    -100: (_R, "unknown error, try again later"),
    -101: (_H, "the app is invalid"),
    -102: (_H, "the app does not exist"),
    -103: (_H, "the app is not activated"),
    -104: (_H, "the app secret is wrong"),
    -105: (_H, "the app is not linked to an Official Account"),
    -106: (_P, "method not supported"),
    -107: (_P, "message id invalid"),
    -108: (_P, "phone number invalid"),
    -109: (_P, "template id invalid"),
    -1091: (_P, "the template cannot be edited"),
    # Said to mean an old Zalo app, but also seen for numbers that are not on Zalo at all; same class anyway.
    -110: (_U, "the recipient's Zalo version is not supported"),
    -111: (_P, "template data is empty"),
    -112: (_P, "template data invalid or of an undefined type"),
    -1121: (_P, "a template parameter is too long"),
    -1122: (_P, "a template parameter is missing"),
    -1123: (_R, "the QR code could not be made"),
    -1124: (_P, "a template parameter has the wrong format"),
    -113: (_P, "button invalid"),
    -1131: (_P, "button link invalid"),
    -114: (_U, "the recipient is inactive, opted out, or uses an old app"),
    -115: (_H, "the ZNS account has run out of balance"),
    -116: (_P, "text invalid"),
    -117: (_H, "the Official Account or app has no right to this template"),
    -118: (_U, "the Zalo account does not exist or is disabled"),
    -119: (_U, "the account cannot receive ZNS"),
    -120: (_H, "the Official Account lacks this feature"),
    -1201: (_H, "the Official Account may not use tag 3 templates"),
    -1202: (_H, "the Official Account may not use media"),
    -121: (_P, "the body is empty"),
    -122: (_P, "the body is not JSON"),
    -123: (_P, "RSA decoding failed"),
    -124: (_A, "access token invalid"),
    -1241: (_H, "appsecret_proof invalid"),
    -125: (_H, "Official Account id invalid"),
    -126: (_H, "the development wallet is empty"),
    -127: (_P, "test templates go to administrators only"),
    -128: (_H, "the encoding key is missing"),
    -129: (_R, "the RSA key could not be made"),
    -130: (_P, "the template content is too long"),
    -131: (_H, "the template is not approved"),
    -132: (_P, "parameter invalid"),
    -133: (_W, "this template may not be sent at night (22:00-06:00)"),
    -134: (_U, "the recipient has not answered the opt-in"),
    -135: (_H, "the Official Account may not send ZNS (not verified, or the free plan)"),
    -1351: (_H, "the Official Account is blocked for a violation"),
    -136: (_H, "the account must be linked to a ZCA / ZBS account"),
    -137: (_H, "the ZCA account could not be charged"),
    -138: (_H, "the app has no permission for this"),
    -1381: (_H, "the extension has no permission for this"),
    -139: (_U, "the recipient refuses this type of ZNS"),
    -140: (_U, "the recipient is not eligible for after-sales messages"),
    -141: (_U, "the recipient refuses ZNS from this Official Account"),
    -142: (_P, "the RSA key is missing"),
    -143: (_P, "the RSA key already exists"),
    -144: (_W, "the Official Account's daily quota is used up"),
    -1441: (_W, "the monthly promotion quota is used up"),
    -145: (_H, "the Official Account may not send this type of content"),
    -146: (_H, "the template is disabled for low quality"),
    -147: (_W, "the template's daily quota is used up"),
    -1471: (_W, "the monthly follow-up cap of this recipient is reached"),
    -1472: (_W, "the daily promotion cap of this recipient is reached"),
    -148: (_P, "journey token not found"),
    -149: (_P, "journey token invalid"),
    -1491: (_P, "journey token of the wrong type"),
    -150: (_P, "journey token expired"),
    # One of the public tables swaps these two; we send no end-to-end encrypted template, so neither is ours.
    -151: (_P, "not an end-to-end encrypted template"),
    -152: (_R, "the end-to-end encryption key could not be had"),
    -153: (_P, "the data breaks the rules"),
    -158: (_P, "the file is too big"),
    -159: (_P, "the file type is not allowed"),
    -160: (_W, "the daily quota for creating, editing or uploading is used up"),
    -161: (_P, "sending_mode invalid"),
    -162: (_P, "sending_mode 3 is not for tags 1 and 2"),
}
"""Template messages, by phone or by user id, and the reading APIs of the business host."""

OA_CODES: dict[int, tuple[OutcomeClass, str]] = {
    0: (OutcomeClass.ACCEPTED, "success"),
    -32: (_R, "the rate limit of the app or the Official Account is exceeded"),
    -100: (_P, "the attachment has expired"),
    -200: (_R, "the message could not be sent"),
    -201: (_P, "a field is invalid"),
    -204: (_H, "the Official Account is disabled"),
    -205: (_H, "the Official Account does not exist"),
    -209: (_H, "the app is not activated, or does not support this API"),
    -210: (_P, "a parameter is over its limit"),
    -211: (_W, "out of quota"),
    -212: (_H, "the app has not registered this API"),
    -213: (_U, "the user does not follow the Official Account"),
    -216: (_A, "access token invalid"),
    -217: (_U, "the user has blocked invitations"),
    -218: (_W, "the limit of messages to this recipient is reached"),
    -219: (_H, "the app is removed or disabled"),
    -220: (_A, "access token expired or removed"),
    -221: (_H, "the Official Account is not verified"),
    -223: (_H, "the Official Account has not granted this API"),
    -224: (_H, "the Official Account needs a higher plan for this"),
    -227: (_U, "the user is banned, or idle for more than 45 days"),
    -230: (_U, "the user has not interacted within 7 days"),
    -232: (_U, "the user has not interacted, or the interaction has expired"),
    -233: (_P, "message type not supported"),
    -234: (_W, "this type of message may not be sent at night (22:00-06:00)"),
    -240: (_P, "this version of the message API is shut down"),
    -242: (_H, "appsecret_proof invalid"),
    -244: (_U, "the user has restricted this type of message"),
    -248: (_P, "against Zalo's policy"),
    -249: (_P, "the template cannot be sent by user id"),
    -320: (_H, "the app must be linked to a Zalo Cloud Account"),
    -321: (_H, "the Zalo Cloud Account has run out of money"),
    -403: (_P, "the Official Account is not in this group"),
    # Seen by one public client for a bad token, in place of -216.
    216: (_A, "access token invalid"),
    401: (_A, "access token invalid"),
    -401: (_A, "access token invalid"),
}
"""The Official Account API: consultation messages and the account's own data."""

TEMPLATE_CODES = frozenset({-117, -131, -145, -146, -1201, -1202})
"""Problems of one template or its kind: messages of the other templates still go out."""

OAUTH_CODES: dict[int, str] = {
    -14002: "the app id is invalid or the app is not active (AMENDS_ZALO__APP_ID)",
    -14003: "the redirect address differs from the one in the console",
    -14004: "the app secret is wrong (AMENDS_ZALO__SECRET_KEY)",
    -14005: "the authorisation code is invalid, expired or used",
    -14014: (
        "the refresh token is invalid, used or expired: give consent again with `amends zalo login`, or in "
        "the Zalo console and set AMENDS_ZALO__REFRESH_TOKEN"
    ),
    -14018: "grant_type invalid",
    # Not to be mixed up with the ZNS code -118; seen by one public client when refreshing.
    -118: "the grant is invalid: give consent again with `amends zalo login`",
}
"""All of them stop the channel until a person acts (`NEEDS_HUMAN`)."""

REFRESH_TOKEN_DEAD = -14014


class Api(Enum):
    """Which of Zalo's APIs answered: they number their errors independently (-100 differs)."""

    TEMPLATES = "templates"
    ACCOUNT = "account"


class Window(Enum):
    """When a waiting message may try again, in Vietnamese time."""

    MORNING = "06:00"
    NEXT_DAY = "midnight"
    NEXT_MONTH = "the first of the month"


_WINDOWS = {
    -133: Window.MORNING,
    -234: Window.MORNING,
    -1441: Window.NEXT_MONTH,
    -1471: Window.NEXT_MONTH,
}
_UNKNOWN = (OutcomeClass.NEEDS_HUMAN, "a code that the documentation we know does not list")


def classify(code: int, api: Api = Api.TEMPLATES) -> tuple[OutcomeClass, str]:
    """Class and meaning of a code, from the table of the API that answered, else from the other one's.

    One app and one token serve both, so the token's codes turn up on either host. An unknown code stops the
    channel (`NEEDS_HUMAN`): it may be a refusal of one payload or of the whole account, and both a blind
    repeat and giving up on every waiting customer are worse than asking somebody.
    """
    own, other = (ZNS_CODES, OA_CODES) if api is Api.TEMPLATES else (OA_CODES, ZNS_CODES)
    return own.get(code) or other.get(code) or _UNKNOWN


def window(code: int) -> Window:
    """Which window to wait for after a `WAIT_FOR_WINDOW` code: quotas that name no month are daily."""
    return _WINDOWS.get(code, Window.NEXT_DAY)
