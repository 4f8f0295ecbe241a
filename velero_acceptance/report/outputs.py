"""Every file of a finished run, written from its report."""

from pathlib import Path

from velero_acceptance.core.errors import Refusal
from velero_acceptance.report import allure, folders, html, metrics
from velero_acceptance.report.attestation import keys, statement
from velero_acceptance.report.build import Report, write_json
from velero_acceptance.report.text import markdown

HTML = "traceability.html"
METRICS = "acceptance.prom"


def write_all(report: Report, folder: Path) -> list[str]:
    """Write them, the most important first; return notes for the reader, a sentence each."""
    write_json(report, folder / folders.JSON)
    (folder / "traceability.md").write_text(markdown(report))
    write_html(report, folder)
    metrics.write(metrics.registry(report), folder / METRICS)
    allure.write_performance(report, folder / allure.RESULTS)
    return [_sign(report, folder)]


def write_html(report: Report, folder: Path) -> Path:
    """Write the page, compared with the previous run in the same folder of reports; return its path."""
    path = folder / HTML
    path.write_text(html.page(report, folders.previous(report, folder.parent)))
    return path


def _sign(report: Report, folder: Path) -> str:
    try:
        statement.sign(report, folder, keys.signer())
    except (Refusal, OSError) as error:
        return f"the evidence is not signed: {error}"
    return f"signed; verify with: acceptance verify {report.run.id} --key {keys.public_path()}"
