// What the dump says, and what `whatis` makes of it. Tools/memory_map/model.py says the same of a frame.
const dump = JSON.parse(document.getElementById("dump").textContent);
const uses = dump.uses;
const useIndex = Object.fromEntries(uses.map((use, index) => [use.key, index]));
const FREE = useIndex.free;
const SLAB = useIndex.slab;
const RESERVED = useIndex.reserved;
const zones = dump.zones.map(([name, first, last, managed, free, cached]) => ({ name, first, last, managed, free, cached }));
const runs = dump.runs.map(([first, count, use, order, name, deferred]) => (
  { first, count, use, order, name: dump.names[name], deferred, end: first + count }));
const sums = uses.map((_, use) => runs.reduce((sum, run) => sum + (run.use === use ? run.count : 0), 0));
const hex = (number) => "0x" + number.toString(16);
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

function runIndexAt(frame) {
  let low = 0, high = runs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runs[middle].end > frame) high = middle; else low = middle + 1;
  }
  return low < runs.length && runs[low].first <= frame ? low : -1;
}

const zoneOf = (frame) => zones.find((zone) => frame <= zone.last) ?? zones[zones.length - 1];

// The cache and the slab, the area and the address, that a frame belongs to.
const slabOfFrame = new Map();
for (const cache of dump.caches) {
  for (const [base, frame, used, states] of cache.slabs) {
    const slab = { base: BigInt("0x" + base), frame, used, states, cache };
    for (let index = 0; index < 1 << cache.order; index++) slabOfFrame.set(frame + index, slab);
  }
}
const pageOfFrame = new Map();
for (const area of dump.areas) {
  area.first = BigInt("0x" + area.start);
  area.last = BigInt("0x" + area.end);
  for (const [start, rights, , , , frames] of area.pages) {
    let address = BigInt("0x" + start);
    for (const [first, count] of frames) {
      for (let index = 0; index < count; index++) {
        pageOfFrame.set(first + index, { area, address: address + 4096n * BigInt(index), rights });
      }
      address += 4096n * BigInt(count);
    }
  }
}

function stateOf(run) {
  const use = uses[run.use];
  if (run.use === SLAB) return `slab of ${run.name}`;
  if (run.use === RESERVED) return `reserved: ${run.name}`;
  const label = use.key === "vmalloc" || use.key === "kmalloc" ? use.label : use.label.toLowerCase();
  return label + (run.deferred ? ", not yet touched" : "");
}

// Pairs of a name and a value; the values, with a few words, are the line.
function describe(frame) {
  const index = runIndexAt(frame);
  if (index < 0) return { line: `frame ${hex(frame)} is no RAM`, rows: [["Frame", hex(frame)]] };
  const run = runs[index];
  const physical = hex(BigInt(frame) * 4096n);
  const zone = zoneOf(frame).name;
  const words = [`frame ${hex(frame)}`, `physical ${physical}`, `zone ${zone}`, stateOf(run)];
  const rows = [["Frame", hex(frame)], ["Physical", physical], ["Zone", zone], ["State", stateOf(run)]];
  const size = 2 ** run.order;
  const head = run.first + Math.floor((frame - run.first) / size) * size;
  if (run.order) {
    const block = `${hex(head)}-${hex(Math.min(head + size, run.end) - 1)}`;
    words.push(`order ${run.order}, block ${block}`);
    rows.push(["Order", run.order], ["Block", block]);
  } else if (run.use === FREE) {
    words.push("order 0");
    rows.push(["Order", 0]);
  }
  const slab = slabOfFrame.get(frame);
  const page = pageOfFrame.get(frame);
  if (slab && run.use === SLAB) {
    const share = `${slab.used} of ${slab.cache.objects} objects in use`;
    words.push(`slab ${hex(slab.base)}, ${share}`);
    rows.push(["Slab", hex(slab.base)], ["Objects", share]);
  } else if (page) {
    const start = page.area.first + 4096n * BigInt(page.area.guard[0]);
    const offset = `${page.address - start} of ${page.area.last - 4096n * BigInt(page.area.guard[1]) - start}`;
    words.push(`${page.area.kind} area ${page.area.name}, offset ${offset}, mapped at ${hex(page.address)} ${page.rights}`);
    rows.push(["Area", `${page.area.kind} ${page.area.name}`], ["Offset", offset], ["Mapped at", hex(page.address)],
      ["Rights", page.rights]);
    if (page.area.caller) rows.push(["Caller", page.area.caller]);
  }
  rows.push(["Region", `${plural(run.count, "frame")} from ${hex(run.first)}`]);
  return { line: words.join(" · "), rows };
}
