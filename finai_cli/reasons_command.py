"""``finai reasons``: why a customer is shown what they are shown, in the words for customer, banker and auditor."""

from __future__ import annotations

from typing import Annotated

import typer

from finai_cli.options import AsJson, Dataset, HomeOption, Profile, home_and_platform
from finai_cli.output import Terminal, print_json, styled


def reasons_command(
    customer: Annotated[int, typer.Argument(help="token of the customer, as recommendations.customers has it")],
    month: Annotated[
        str | None, typer.Option(help="month that was scored, as in 2016-05; default: the last of them")
    ] = None,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Tell one customer's list in three renderings of one record: for the customer, for the banker, for the auditor (--json).

    The list is computed anew from the stored month by the handler's code and the bundle that scored the month.
    """
    at, platform = home_and_platform(dataset, profile, home)
    from finai_assets.asset_graph import RECOMMENDATIONS, SCORED_BY
    from finai_assets.bundle.registry import resolve
    from finai_assets.recommend.experts import shares_of_customer
    from finai_assets.recommend.one import records_of_customer
    from finai_resources.errors import LakeError
    from finai_resources.lake_resource import lake_of_home
    from finai_resources.months import Month
    from finai_resources.secrets import SecretStore
    from serving_lambda.bundle import load_bundle

    session = lake_of_home(at).session()
    lake = session.lake
    scored = lake.partitions(RECOMMENDATIONS)
    if not scored or (month and month not in scored):
        known = f"scored are {', '.join(scored)}" if scored else "no month is scored"
        raise LakeError(
            known, where=f"{RECOMMENDATIONS} {month or ''}".strip(), fix="`finai run` scores the last month"
        )
    chosen = Month.parse(month or scored[-1])
    scored_by = lake.manifest(RECOMMENDATIONS, chosen.key).extra[SCORED_BY]
    bundle = load_bundle(resolve(lake, at.root, scored_by), SecretStore(at.root).present("signing"))
    found = records_of_customer(session, chosen, customer, platform.registry, platform.settings, bundle)
    records, nothing = found.records, found.nothing
    renderer = bundle.renderer
    shares = shares_of_customer(session, chosen, customer)
    if as_json:
        told = [{**record.auditor(renderer), "banker": record.banker(renderer)} for record in records]
        shown = {"nothing_offered": nothing, "channels": found.channels, "products": told, "expert_shares": shares}
        print_json({"customer_id": customer, "month": chosen.key, **shown})
        return
    console = Terminal()
    if nothing:
        console.print(f"nothing is offered to customer {customer} in {chosen.key}: {nothing}", soft_wrap=True)
    else:
        console.print(f"may be told by {', '.join(found.channels) or 'no channel'}", soft_wrap=True)
    for rank, record in enumerate(records, start=1):
        title = f"{rank}. {record.product.name_ko} / {record.product.name}"
        console.print(styled((title, "bold")), soft_wrap=True)
        for audience, texts in (("customer", record.customer(renderer)), ("banker", record.banker(renderer))):
            for language in ("ko", "en"):
                console.print(f"  {audience} {language}: {texts[language]}", soft_wrap=True, highlight=False)
        if record.explained_by in shares:
            for language in ("ko", "en"):
                text = shares[record.explained_by]["banker"][language]
                console.print(f"  banker {language}: {text}", soft_wrap=True, highlight=False)
        if record.product.disclosures:
            console.print(f"  to be told beside it: {', '.join(record.product.disclosures)}", soft_wrap=True)
        console.print(
            f"  auditor: {len(record.drivers)} drivers, {record.carried:.0%} of the evidence told; see --json"
        )
