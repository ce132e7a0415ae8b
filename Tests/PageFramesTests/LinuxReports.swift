/// What Debian 12's Linux 6.1.192 printed on a 512 MiB QEMU machine.
enum LinuxReports {
    // Linux ends each row of numbers with a space, which an editor might take away: it is put back here.
    private static func withTrailingSpaces(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.hasPrefix("Node") || $0.hasPrefix("Free") || $0.hasPrefix("Number") ? $0 + " " : $0 }
            .joined(separator: "\n")
    }

    static let buddyInfo = withTrailingSpaces(
        """
        Node 0, zone      DMA      0      0      0      0      0      1      1      1      0      1      3
        Node 0, zone    DMA32      7      9     14      9      8      9      7      3      5      1    100

        """)

    static let pageTypeInfo = withTrailingSpaces(
        """
        Page block order: 9
        Pages per block:  512

        Free pages count per migrate type at order       0      1      2      3      4      5      6      7      8      9     10
        Node    0, zone      DMA, type    Unmovable      0      0      0      0      0      1      1      1      0      0      0
        Node    0, zone      DMA, type      Movable      0      0      0      0      0      0      0      0      0      1      3
        Node    0, zone      DMA, type  Reclaimable      0      0      0      0      0      0      0      0      0      0      0
        Node    0, zone      DMA, type   HighAtomic      0      0      0      0      0      0      0      0      0      0      0
        Node    0, zone      DMA, type      Isolate      0      0      0      0      0      0      0      0      0      0      0
        Node    0, zone    DMA32, type    Unmovable      6      8     13      8      6      8      5      3      3      0      0
        Node    0, zone    DMA32, type      Movable      1      1      0      1      1      0      1      0      1      0    100
        Node    0, zone    DMA32, type  Reclaimable      0      0      1      0      1      1      1      0      1      1      0
        Node    0, zone    DMA32, type   HighAtomic      0      0      0      0      0      0      0      0      0      0      0
        Node    0, zone    DMA32, type      Isolate      0      0      0      0      0      0      0      0      0      0      0

        Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic      Isolate
        Node 0, zone      DMA            1            7            0            0            0
        Node 0, zone    DMA32           39          203            6            0            0

        """)

    /// The report on a GFP_ATOMIC frame that could not be had, without the kernel's time and the stack trace.
    static let failure = """
        busybox: page allocation failure: order:0, mode:0xa20(GFP_ATOMIC), nodemask=(null),cpuset=/,mems_allowed=0
        Mem-Info:
        active_anon:652 inactive_anon:284 isolated_anon:0
         active_file:0 inactive_file:0 isolated_file:0
         unevictable:0 dirty:0 writeback:0
         slab_reclaimable:2185 slab_unreclaimable:1468
         mapped:414 shmem:916 pagetables:14
         sec_pagetables:0 bounce:0
         kernel_misc_reclaimable:0
         free:685 free_pcp:95 free_cma:0
        Node 0 active_anon:2608kB inactive_anon:1136kB active_file:0kB inactive_file:0kB unevictable:0kB isolated(anon):0kB isolated(file):0kB mapped:1656kB dirty:0kB writeback:0kB shmem:3664kB shmem_thp: 0kB shmem_pmdmapped: 0kB anon_thp: 0kB writeback_tmp:0kB kernel_stack:752kB pagetables:56kB sec_pagetables:0kB all_unreclaimable? no
        Node 0 DMA free:1756kB boost:0kB min:88kB low:108kB high:128kB reserved_highatomic:0KB active_anon:0kB inactive_anon:0kB active_file:0kB inactive_file:0kB unevictable:0kB writepending:0kB present:15992kB managed:15360kB mlocked:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB
        lowmem_reserve[]: 0 432 432 432 432
        Node 0 DMA32 free:984kB boost:4096kB min:6712kB low:7364kB high:8016kB reserved_highatomic:0KB active_anon:2608kB inactive_anon:1136kB active_file:0kB inactive_file:0kB unevictable:0kB writepending:0kB present:507776kB managed:453056kB mlocked:0kB bounce:0kB free_pcp:380kB local_pcp:380kB free_cma:0kB
        lowmem_reserve[]: 0 0 0 0 0
        Node 0 DMA: 1*4kB (U) 1*8kB (U) 1*16kB (U) 0*32kB 1*64kB (U) 1*128kB (U) 0*256kB 1*512kB (U) 1*1024kB (U) 0*2048kB 0*4096kB = 1756kB
        Node 0 DMA32: 0*4kB 1*8kB (U) 1*16kB (U) 0*32kB 1*64kB (U) 1*128kB (U) 1*256kB (U) 1*512kB (U) 0*1024kB 0*2048kB 0*4096kB = 984kB
        Node 0 hugepages_total=0 hugepages_free=0 hugepages_surp=0 hugepages_size=2048kB
        916 total pagecache pages
        0 pages in swap cache
        Free swap  = 0kB
        Total swap = 0kB
        130942 pages RAM
        0 pages HighMem/MovableOnly
        13838 pages reserved

        """
}
