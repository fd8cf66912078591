"""The wire: what server and sites say to each other. No other package knows its keys.

                       server to site                          site to server
    hello              nothing                                 site, study
    update             theta [d], study, round                 update [d], study, round
    masking_advertise  a session's terms                       this site's public keys, signed
    masking_deal       all sites' public keys                  sealed shares for each of them
    masking_input      theta [d], the turn, who is asked       the masked update [d]
    masking_confirm    who has survived                        a signature; perhaps shares
    masking_reveal     the survivors' signatures               shares
    votes              theta [d], study, release, task         noised counts [20], int64, the echo
    votes_...          as masking_..., its input of votes      as masking_...

Vectors are float32, or uint64 if masked, in one flat array. Everything is checked where it is read.
Only plain numbers and texts are decoded, never objects. An update carries the round's echo and the
vector, and nothing else: no count, no loss, no name.
"""

from common.messages.frame import error_reply, reply
from common.messages.plain import (
    HELLO,
    HELLO_TYPE,
    UPDATE,
    UPDATE_TYPE,
    Greeting,
    Instruction,
    greeting_content,
    hello_request,
    instruction_content,
    read_greeting,
    read_instruction,
    read_update,
    update_content,
)

__all__ = [
    "HELLO",
    "HELLO_TYPE",
    "UPDATE",
    "UPDATE_TYPE",
    "Greeting",
    "Instruction",
    "error_reply",
    "greeting_content",
    "hello_request",
    "instruction_content",
    "read_greeting",
    "read_instruction",
    "read_update",
    "reply",
    "update_content",
]
