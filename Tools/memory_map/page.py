"""Writes the page: the data, the style and the scripts in one file that needs nothing from anywhere."""

import html
import json
import pathlib

from memory_map.uses import FREE_SHADES, USES

ASSETS = pathlib.Path(__file__).resolve().parent / "assets"
SCRIPTS = ("data.js", "layout.js", "paint.js", "physical.js", "keys.js", "fragmentation.js", "slabs.js", "virtual.js",
           "timeline.js", "tables.js", "main.js")


def page_data(model, trace):
    """What the scripts need, as small as is readable. Addresses are hexadecimal text: numbers would lose their last bits."""
    dump = model.dump
    keys = {use.key: index for index, use in enumerate(USES)}
    names = sorted({run.name for run in dump.runs})
    name_index = {name: index for index, name in enumerate(names)}
    return {
        "uses": [{"key": use.key, "label": use.label, "letter": use.letter, "light": use.light, "dark": use.dark,
                  "pattern": use.pattern, "text": use.text} for use in USES],
        "freeShades": FREE_SHADES,
        "zones": [[zone.name, zone.first, zone.last, zone.managed, zone.free, zone.cached] for zone in dump.zones],
        "names": names,
        "runs": [[run.first, run.count, keys[run.use], run.order, name_index[run.name], int(run.deferred)]
                 for run in dump.runs],
        "caches": [{"name": cache.name, "object": cache.object_size, "slot": cache.slot, "order": cache.order,
                    "objects": cache.objects,
                    "slabs": [[f"{slab.base:x}", slab.frame, slab.used, slab.states] for slab in cache.slabs]}
                   for cache in dump.caches],
        "regions": [[f"{start:x}", f"{end:x}", name] for start, end, name in dump.regions],
        "areas": [{"start": f"{area.start:x}", "end": f"{area.end:x}", "guard": [area.guard_below, area.guard_above],
                   "kind": area.kind, "state": area.state, "promised": area.promised, "name": area.name,
                   "caller": area.caller,
                   "pages": [[f"{pages.address:x}", pages.rights, pages.size, pages.kind, pages.count, pages.frames]
                             for pages in area.pages]} for area in dump.areas],
        "mappings": [[f"{first:x}", f"{last:x}", size, rights, page, cache, what]
                     for first, last, size, rights, page, cache, what in dump.mappings],
        "trace": trace,
    }


def kibibytes(frames):
    return f"{frames * 4:,}"


def sums_table(model):
    """What the page says without its script, too: the frames of each use."""
    rows = []
    for use in USES:
        frames = model.sums.get(use.key)
        if frames is None:
            continue
        rows.append(
            f'<tr data-use="{use.key}" data-frames="{frames}"><th scope="row">'
            f'<button type="button" class="key" data-use="{use.key}" aria-pressed="false">'
            f'<canvas class="swatch" width="36" height="36" data-use="{use.key}" aria-hidden="true"></canvas>'
            f'<span><b>{html.escape(use.label)}</b><small>{html.escape(use.text)}</small></span></button></th>'
            f'<td class="number">{frames:,}</td><td class="number">{kibibytes(frames)}</td>'
            f'<td class="number">{100 * frames / model.frame_count:.2f} %</td></tr>')
    rows.append(
        f'<tr data-use="all" data-frames="{model.frame_count}"><th scope="row">All RAM</th>'
        f'<td class="number">{model.frame_count:,}</td><td class="number">{kibibytes(model.frame_count)}</td>'
        f'<td class="number">100 %</td></tr>')
    return "\n".join(rows)


def facts(model):
    """The figures at the top: (value, what it is)."""
    total, free = model.frame_count, model.sums.get("free", 0)
    size = total * 4096
    shown = f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"
    objects = sum(slab.used for cache in model.dump.caches for slab in cache.slabs)
    return [(shown, f"of RAM, {total:,} frames"), (f"{100 * free / total:.1f} %", f"free, {free:,} frames"),
            (f"{objects:,}", "objects in use, of " + f"{sum(1 for c in model.dump.caches if c.slabs)} caches"),
            (f"{len(model.dump.areas):,}", "areas of address space")]


def write_page(model, trace):
    """The whole page as text."""
    read = {name: (ASSETS / name).read_text() for name in ("page.html", "style.css", *SCRIPTS)}
    data = json.dumps(page_data(model, trace), separators=(",", ":"), ensure_ascii=True).replace("</", "<\\/")
    items = "".join(f"<li><b>{value}</b><span>{html.escape(what)}</span></li>" for value, what in facts(model))
    parts = {
        "<!--STYLE-->": f"<style>\n{read['style.css']}</style>",
        "<!--FACTS-->": items,
        "<!--SUMS-->": sums_table(model),
        "<!--DATA-->": f'<script type="application/json" id="dump">{data}</script>',
        "<!--SCRIPT-->": "<script>\n\"use strict\";\n" + "\n".join(read[name] for name in SCRIPTS) + "</script>",
    }
    page = read["page.html"]
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page
