"""The alternating bit protocol over channels that lose messages.

AlternatingBit.tla by Leslie Lamport ("Specifying Systems", chapter 14), with channels of at most
two messages; https://github.com/tlaplus/Examples (SpecifyingSystems/TLC).
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Enum, Opt, Sort

BIT = Enum("Bit", ("no_bit", "zero", "one"))
SEND = {
    "head_bit": "({bit} if head_bit == no_bit else head_bit)",
    "head_data": "({data} if head_bit == no_bit else head_data)",
    "tail_bit": "(no_bit if head_bit == no_bit else {bit})",
    "tail_data": "(none if head_bit == no_bit else {data})",
}
FLIPPED = "(one if sent_bit == zero else zero)"


def send(bit: str, data: str) -> dict[str, str]:
    """Return the effects of a message that joins the channel."""
    return {place: text.format(bit=bit, data=data) for place, text in SEND.items()}


DROP_HEAD = {
    "head_bit": "tail_bit", "head_data": "tail_data", "tail_bit": "no_bit", "tail_data": "none"
}

NETWORK = Network(
    name="alternating_bit",
    doc="a sender, a receiver, and two channels that lose what they like",
    honest="",
    crash=False,
    sorts=(Sort("Datum", "what is sent"),),
    cells=(
        Cell("sent_bit", BIT, (), "any", "disk", "of the last message"),
        Cell("sent_ack", BIT, (), "any", "disk", "the last bit that the sender was told"),
        Cell("got_bit", BIT, (), "any", "disk", "of the last message that was received"),
        Cell("sent", Opt("Datum"), (), "any", "disk", "the last value that was sent"),
        Cell("got", Opt("Datum"), (), "any", "disk", "the last value that was received"),
        Cell("head_bit", BIT, (), "no_bit", "disk", "the first message on its way"),
        Cell("head_data", Opt("Datum"), (), "none", "disk", "the first message on its way"),
        Cell("tail_bit", BIT, (), "no_bit", "disk", "the second one"),
        Cell("tail_data", Opt("Datum"), (), "none", "disk", "the second one"),
        Cell("head_ack", BIT, (), "no_bit", "disk", "the first acknowledgement on its way"),
        Cell("tail_ack", BIT, (), "no_bit", "disk", "the second one"),
    ),
    initially=(
        "sent_bit != no_bit", "sent_ack == sent_bit", "got_bit == sent_bit", "sent != none",
        "got != none",
    ),
    moves=(
        Move("SendNew(d: Datum)", ("sent_ack == sent_bit", "tail_bit == no_bit"),
             {"sent": "d", "sent_bit": FLIPPED, **send(FLIPPED, "d")}),
        Move("SendAgain()", ("sent_ack != sent_bit", "tail_bit == no_bit"),
             send("sent_bit", "sent"), fair=True),
        Move("Receive()", ("head_bit != no_bit",),
             {"got_bit": "head_bit", "got": "head_data", **DROP_HEAD}, fair="strong"),
        Move("SendAck()", ("tail_ack == no_bit",),
             {"head_ack": "(got_bit if head_ack == no_bit else head_ack)",
              "tail_ack": "(no_bit if head_ack == no_bit else got_bit)"}, fair=True),
        Move("ReceiveAck()", ("head_ack != no_bit",),
             {"sent_ack": "head_ack", "head_ack": "tail_ack", "tail_ack": "no_bit"},
             fair="strong"),
        Move("LoseHead()", ("head_bit != no_bit",), DROP_HEAD),
        Move("LoseTail()", ("tail_bit != no_bit",), {"tail_bit": "no_bit", "tail_data": "none"}),
        Move("LoseHeadAck()", ("head_ack != no_bit",),
             {"head_ack": "tail_ack", "tail_ack": "no_bit"}),
        Move("LoseTailAck()", ("tail_ack != no_bit",), {"tail_ack": "no_bit"}),
    ),
    properties=(
        Property("AcknowledgedIsReceived",
                 "implies(sent_ack == sent_bit, got_bit == sent_bit)"),
        Property("ReceivedIsSent",
                 "implies(got_bit == sent_bit and sent_ack != sent_bit, got == sent)"),
        Property("EachArrives", "all(leads_to(sent == d and sent_bit != sent_ack, got == d)"
                                " for d in Datum)", "liveness"),
        Property("NeverStuck", "False", "deadlock"),
    ),
)
