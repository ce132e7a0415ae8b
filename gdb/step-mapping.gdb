# A guided session: how one page comes to be mapped. `make debug-mapping` runs it, and docs/debugging.md shows what it prints.
# It needs the kernel of `make debug`, stopped at the machine's first instruction, and gdb/quarry.py.

set style enabled off
set filename-display basename
set print frame-arguments none
python from quarry import guide

echo \n1. The boot tables.\n
echo boot/entry.S has made them before it entered Swift: three or four tables that show the first 4 GiB in pages of 2 MiB,\n
echo where they lie, where the direct map will be, and where the image is linked.\n
python guide.stop_at("kernel_main")
quarry vtop kernel_main

echo \n2. The kernel's own tables are in use; the frame table's region is still empty.\n
echo Bring-up has mapped memory and the image, and loaded CR3. Next it maps the frame descriptors at addresses of their own.\n
echo What mapRange is to map is its first argument: in rdi the first address, in rsi the one behind the last.\n
python guide.stop_at("FrameTableRegion.map(_:_:_:from:)")
python guide.stop_at("PageTables.mapRange(_:to:permissions:using:)")
python guide.target("$rdi")
print/x $rdi
print/x $rsi
quarry vtop $target
python guide.show_access()

echo \n3. map: plan first, then commit.\n
echo PageTables.run walks the range once without writing, and takes all tables that will be missing from the source: where one\n
echo cannot be had, nothing has changed. commit() walks again and calls descend() where a level is missing. `reserve` holds\n
echo the tables that the plan has taken; `target` is the level of the entry that will map the page, 0 for 4 KiB.\n
python guide.stop_at("PageTableCursor.descend(to:taking:user:)")
# Behind the prologue the arguments are where DWARF says.
python guide.pass_prologue()
backtrace 4
print target
print reserve

echo \n4. The upper level: a table is linked.\n
echo descend() takes a cleared table off the reserve and writes its address into the entry where the walk ends, in one store: a\n
echo CPU that walks at this moment sees nothing, or an empty table.\n
python guide.next_level()
python guide.show_path()

echo \n5. The next level.\n
echo The number of entries in use of each table is kept in bits 52 to 61 of the entry that refers to it, which the CPU ignores\n
echo there: it goes up when the table gets its first entry.\n
python guide.next_level()
python guide.show_path()

echo \n6. The level below.\n
python guide.next_level()
python guide.show_path()
python guide.show_access()

echo \n7. The leaf: the translation starts to work.\n
echo The last table is there and empty. fill() writes the leaves of the range; after the first one the address leads to memory.\n
echo Nothing has to be flushed: a CPU keeps no translation of what was not present.\n
python guide.next_level()
python guide.show_path()
python guide.show_access()
quarry vtop $target
quarry whatis $target

echo \n8. That was map. `quarry help` lists what else can be asked.\n
