"""``kai-sched crds``: the definitions of our kinds, as files and in a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kai_sched.api.crd_compare import CrdDiff, CrdState, compare, replacement
from kai_sched.api.generated import RESOURCES, drifted, generated_files
from kai_sched.api.schema import CustomResource, crd_document
from kai_sched.cli import options
from kai_sched.cli.output import OutputFormat, console, error_console, print_document, table, write_out
from kai_sched.cluster.kube.blocking import with_client
from kai_sched.cluster.kube.client import KubeClient
from kai_sched.cluster.kube.resources import CUSTOM_RESOURCES
from kai_sched.errors import ApiFailure

Root = Annotated[Path, typer.Option(help="Folder of the repository.")]
_NOT_FOUND = 404

app = typer.Typer(
    help="CustomResourceDefinitions: generate and check their files, compare and apply them.\n\n"
    "Example: kai-sched crds diff",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def generate(root: Root = Path()) -> None:
    """Write crds/*.yaml and the JSON schema of the settings from the models.

    Example: kai-sched crds generate
    """
    for name, text in generated_files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        write_out(f"{name}\n")


@app.command()
def check(root: Root = Path()) -> None:
    """Check that the generated files are what the models say; writes nothing, exit code 1 on drift.

    Example: kai-sched crds check
    """
    stale = drifted(root)
    for name in stale:
        error_console().print(
            f"{name} is not what the models say: run `kai-sched crds generate`",
            markup=False,
            soft_wrap=True,
        )
    if stale:
        raise typer.Exit(1)


@app.command()
def diff(
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
    output: options.Output = OutputFormat.TABLE,
) -> None:
    """Compare the cluster's definitions with ours; writes nothing, exit code 1 where they differ.

    Example: kai-sched crds diff --kubeconfig ~/.kube/config
    """
    diffs = [compare(resource, present) for resource, present in with_client(_present, kubeconfig, context)]
    _print(diffs, output)
    if any(one.state is not CrdState.SAME for one in diffs):
        raise typer.Exit(1)


@app.command()
def apply(
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
    output: options.Output = OutputFormat.TABLE,
) -> None:
    """Create or update the cluster's definitions; one that has more than ours is kept, never downgraded.

    Example: kai-sched crds apply --kubeconfig ~/.kube/config
    """
    _print(with_client(_apply_all, kubeconfig, context), output)


async def _present(client: KubeClient) -> list[tuple[CustomResource, dict[str, Any] | None]]:
    return [(resource, await _one(client, resource)) for resource in RESOURCES]


async def _one(client: KubeClient, resource: CustomResource) -> dict[str, Any] | None:
    try:
        return await client.get(CUSTOM_RESOURCES.item(resource.name))
    except ApiFailure as failure:
        if failure.status == _NOT_FOUND:
            return None
        raise


async def _apply_all(client: KubeClient) -> list[CrdDiff]:
    diffs = []
    for resource, present in await _present(client):
        found = compare(resource, present)
        diffs.append(found)
        if present is None:
            await client.post(CUSTOM_RESOURCES.collection(), crd_document(resource))
        elif found.state is CrdState.BEHIND:
            await client.put(CUSTOM_RESOURCES.item(resource.name), replacement(resource, present))
    return diffs


def _print(diffs: list[CrdDiff], output: OutputFormat) -> None:
    if output is not OutputFormat.TABLE:
        print_document([_document(one) for one in diffs], output)
        return
    rows = [(one.name, one.state.value, _note(one)) for one in diffs]
    console().print(table("", ("DEFINITION", "CLUSTER", "NOTE"), rows))


def _document(one: CrdDiff) -> dict[str, Any]:
    return {
        "name": one.name,
        "state": one.state.value,
        "gained": list(one.gained),
        "changed": list(one.changed),
        "lost": list(one.lost),
        "lacksKaiSched": one.lacks_our_fields,
    }


def _note(one: CrdDiff) -> str:
    """What to know about one definition, in words."""
    notes = []
    if one.state is CrdState.AHEAD:
        notes.append(f"kept: it has {_few(one.lost)}, which ours lacks")
    elif one.state is CrdState.BEHIND:
        notes.append(f"ours adds {_few(one.gained)}" if one.gained else f"ours changes {_few(one.changed)}")
    if one.lacks_our_fields:
        notes.append("installed by KAI: the cluster prunes our fields (kaiSched) as long as it stays")
    return "; ".join(notes)


def _few(features: tuple[str, ...]) -> str:
    shown = ", ".join(features[:3])
    return shown if len(features) <= 3 else f"{shown} and {len(features) - 3} more"
