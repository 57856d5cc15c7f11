"""Zalo's error codes as the sandbox answers them: always HTTP 200, `{"error": code, "message": text}`.

Codes and the first six texts follow Zalo's ZNS error table as seen in public client code; the other texts
are ours, so clients must branch on the code alone.
"""

from typing import NamedTuple

MESSAGES = {
    -108: "Phone number invalid",
    -110: "Zalo version unsupported",
    -118: "Zalo account not existed",
    -120: "OA does not have permission to use this feature",
    -124: "Access token invalid",
    -144: "ZNS daily quota exceeded",
    -100: "Unknown error, please try later",
    -32: "Rate limit exceeded",
    -105: "App is not linked to an OA",
    -106: "Method unsupported",
    -107: "Message id invalid",
    -109: "Template id invalid",
    -1091: "Template cannot be edited",
    -111: "Template data empty",
    -112: "Template data invalid",
    -114: "User inactive or opted out",
    -115: "ZNS account out of balance",
    -117: "OA has no right to use this template",
    -119: "Account cannot receive ZNS",
    -121: "Body empty",
    -122: "Body is not JSON",
    -1241: "appsecret_proof invalid",
    -127: "Test template can only be sent to admins",
    -131: "Template not approved",
    -132: "Parameter invalid",
    -133: "Template may not be sent at night",
    -135: "OA may not send ZNS",
    -137: "ZCA charge failed",
    -139: "User refuses this type of ZNS",
    -140: "User not eligible for after-sales messages",
    -141: "User refuses ZNS from this OA",
    -146: "Template disabled for low quality",
    -147: "Template daily quota exceeded",
    -1471: "Monthly promotion limit of this user exceeded",
    -1472: "Daily promotion limit of this user exceeded",
    -158: "File too big",
    -159: "File type not supported",
    -160: "Limit of changes exceeded",
    -161: "Invalid sending_mode",
    -162: "sending_mode 3 is not for this tag",
    # The OA API, by user id.
    -200: "Send message failed",
    -201: "Parameter is invalid",
    -210: "Parameter exceeds its limit",
    -213: "User has not followed OA",
    -216: "Access token is invalid",
    -220: "Access token is expired or removed",
    -227: "User is banned or has been inactive for more than 45 days",
    -230: "User has not interacted with the OA in the past 7 days",
    -232: "User has no interaction with the OA, or it has expired",
    -242: "appsecret_proof is invalid",
    -244: "User has restricted this type of message",
    -249: "Template cannot be sent by user id",
    -321: "ZCA is out of money",
}


class Refusal(NamedTuple):
    """One refusal, ready for the envelope."""

    code: int
    message: str


def refuse(code: int, message: str | None = None) -> Refusal:
    """`code` with its usual text unless `message` says it more exactly."""
    return Refusal(code, message or MESSAGES.get(code, "Refused"))
