// The same facts as tables, each made when it is opened.
function table(headings, rows) {
  const head = make("tr", {}, ...headings.map((text) => make("th", { scope: "col" }, text)));
  const body = make("tbody");
  for (const row of rows) {
    body.append(make("tr", {}, ...row.map((value) => (
      make("td", typeof value === "number" ? { class: "number" } : {}, typeof value === "number" ? value.toLocaleString("en") : value)))));
  }
  return make("table", {}, make("thead", {}, head), body);
}

const TABLES = {
  "runs-table": () => table(["Frames", "Count", "Use", "Order", "Of"], runs.map((run) => (
    [`${hex(run.first)}-${hex(run.end - 1)}`, run.count, uses[run.use].label, run.order, run.name]))),
  "zones-table": () => table(["Zone", ...Array.from({ length: 11 }, (_, order) => `Order ${order}`)],
    zones.map((zone) => [zone.name, ...freeBlocks(zone)])),
  "slabs-table": () => table(["Cache", "Bytes", "In use", "Objects", "Slabs", "Pages of each"], dump.caches.map((cache) => (
    [cache.name, cache.object, cache.slabs.reduce((sum, slab) => sum + slab[2], 0), cache.slabs.length * cache.objects,
      cache.slabs.length, 2 ** cache.order]))),
  "areas-table": () => table(["Area", "Size", "Kind", "Rights", "Pages present", "Promised", "Name", "Caller"],
    dump.areas.map((area) => [`${hex(area.first)}-${hex(area.last - 1n)}`, sizeText(area.last - area.first), area.kind,
      area.pages[0]?.[1] ?? "", area.pages.reduce((sum, pages) => sum + (pages[3] === "mapped" ? pages[4] : 0), 0),
      area.promised, area.name, area.caller])),
  "mappings-table": () => table(["Range", "KiB", "Rights", "Page", "Cached", "Memory"], dump.mappings.map(
    ([first, last, size, rights, page, cache, what]) => [`0x${first}-0x${last}`, size, rights, page, cache, what])),
};

function startTables() {
  for (const [id, build] of Object.entries(TABLES)) {
    const details = document.getElementById(id);
    details.addEventListener("toggle", () => {
      const place = details.querySelector(".scroll");
      if (details.open && !place.firstChild) place.append(build());
    });
  }
}
