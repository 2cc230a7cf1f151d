"""``doctor``: look for whatever keeps a node from doing its work, and say what mends it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from metanode.cli.common import home_option


@click.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
def command(home: Path, as_json: bool) -> int:
    """Examine a home, its node if one runs, the chain daemon and the peers; change nothing.

    Each line is ok, warning or fault; after each of the last two stands what mends it. Exit code:
    0 all is well, 1 there are warnings, 2 there are faults.
    """
    import anyio

    from metanode.runtime.doctor.examination import examine
    from metanode.runtime.doctor.findings import EXIT_CODES, worst
    from metanode.runtime.home.home import Home

    findings = anyio.run(examine, Home(home), backend="trio")
    level = worst(findings)
    if as_json:
        plain = [finding.plain() for finding in findings]
        click.echo(json.dumps({"level": level, "findings": plain}, indent=2, sort_keys=True))
        return EXIT_CODES[level]
    for finding in findings:
        click.echo(f"{finding.level:8} {finding.about:14} {' '.join(finding.text.split())}")
        if finding.level != "ok":
            click.echo(f"{'':8} {'mend:':14} {finding.mend}")
    return EXIT_CODES[level]
