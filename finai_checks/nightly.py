"""What runs at night, once somebody has switched it on: the stored bytes are verified, and the audits made again."""

import dagster as dg

from finai_assets.automation.jobs import AUDIT_JOB
from finai_assets.platform import Platform
from finai_checks.home_verification import verify_home
from finai_resources.finding import Finding
from finai_resources.home import Home
from finai_resources.home_resource import HomeResource
from finai_resources.lake_resource import LakeResource

VERIFY_JOB = "verify_home"


@dg.op(description="Hash every file of the lake, and verify logs, records, bundles, keys and databases beside it.")
def verify_stored_bytes(context: dg.OpExecutionContext, lake: LakeResource, home: HomeResource) -> None:
    """Verify the home, and fail with all that is wrong and the way out of each."""
    findings = verify_home(Home(home.path, lake.root), lake.open())
    wrong = [each for each in findings if each.verdict == "wrong"]
    context.add_output_metadata({"findings": _table(findings)})
    if wrong:
        raise dg.Failure(
            f"{len(wrong)} faults of what is stored; the first: {wrong[0].subject}: {wrong[0].found}",
            metadata={"faults": _table(wrong)},
            allow_retries=False,
        )


@dg.job(name=VERIFY_JOB, description="Verify every stored byte that something vouches for; `finai doctor --deep`.")
def verification() -> None:
    """Verify the home."""
    verify_stored_bytes()


def build_schedules(platform: Platform, *, audits: bool) -> list[dg.ScheduleDefinition]:
    """Return the nightly schedules, which a person switches on in the UI.

    Parameters
    ----------
    audits
        Whether the data set has audits.
    """
    schedule = platform.settings.checks.audits
    return [
        dg.ScheduleDefinition(
            name=f"nightly_{job}",
            job_name=job,
            cron_schedule=schedule.cron,
            execution_timezone=schedule.timezone,
            description=f"Runs the job {job} once a night.",
        )
        for job in (VERIFY_JOB, *([AUDIT_JOB] if audits else []))
    ]


def _table(findings: list[Finding]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord({"verdict": f.verdict, "subject": f.subject, "found": f.found, "fix": f.fix}) for f in findings
    ]
    return dg.MetadataValue.table(records)
