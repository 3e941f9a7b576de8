# Where corpora stand that are not downloaded: sourced by the db.sh of the recipes that need one.
# A group names its folders here once; options of a run (--wsj0, --mix-lists) go before.
WSJ0=       # folder that holds WSJ0 (LDC93S6A): copied disks, a flat tree, .wv1, wav or flac
MIX_LISTS=  # folder of the lists of WSJ0-mix; empty: they are downloaded
