"""The alternating bit protocol over channels that lose messages.

AlternatingBit.tla by Leslie Lamport ("Specifying Systems", chapter 14), with channels of at most
two messages; https://github.com/tlaplus/Examples (SpecifyingSystems/TLC).
"""

from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Enum, Opt, Seq, Sort

BIT = Enum("Bit", ("zero", "one"))
FLIPPED = "(one if sent_bit == zero else zero)"

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
        Cell("bits", Seq(BIT, 2), (), "empty", "disk", "the messages on their way"),
        Cell("data", Seq("Datum", 2), (), "empty", "disk", "and what is in them"),
        Cell("acks", Seq(BIT, 2), (), "empty", "disk", "acknowledgements on their way"),
    ),
    initially=(
        "sent_ack == sent_bit", "got_bit == sent_bit", "sent != none", "got != none",
    ),
    moves=(
        Move("SendNew(d: Datum)", ("sent_ack == sent_bit", "len(bits) < 2"),
             {"sent": "d", "sent_bit": FLIPPED, "bits": f"append(bits, {FLIPPED})",
              "data": "append(data, d)"}),
        Move("SendAgain()", ("sent_ack != sent_bit", "len(bits) < 2"),
             {"bits": "append(bits, sent_bit)", "data": "append(data, sent)"}, fair=True),
        Move("Receive()", ("len(bits) > 0",),
             {"got_bit": "head(bits)", "got": "head(data)", "bits": "tail(bits)",
              "data": "tail(data)"}, fair="strong"),
        Move("SendAck()", ("len(acks) < 2",), {"acks": "append(acks, got_bit)"}, fair=True),
        Move("ReceiveAck()", ("len(acks) > 0",),
             {"sent_ack": "head(acks)", "acks": "tail(acks)"}, fair="strong"),
        Move("LoseFirst()", ("len(bits) > 0",), {"bits": "tail(bits)", "data": "tail(data)"}),
        Move("LoseSecond()", ("len(bits) > 1",),
             {"bits": "remove(bits, 2)", "data": "remove(data, 2)"}),
        Move("LoseFirstAck()", ("len(acks) > 0",), {"acks": "tail(acks)"}),
        Move("LoseSecondAck()", ("len(acks) > 1",), {"acks": "remove(acks, 2)"}),
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
