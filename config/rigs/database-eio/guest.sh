# What the guest does: the scenario writes a word on its serial port, and reads
# there what came of it.
#
#   insert  transactions, until one fails; all until then are remembered
#   check   the disk works again: what does the database hold?
#   end
database=/mnt/database
committed=0

mkfs.ext4 -q -b 4096 /dev/vda
mount -t ext4 /dev/vda /mnt
sqlite3 $database 'CREATE TABLE lines (n INTEGER PRIMARY KEY, text TEXT);
                   CREATE TABLE sums (lines INTEGER);
                   INSERT INTO sums VALUES (0);'
sync
tell ready

# What line n says, in SQL.
text="printf('%.*c', 100 + n * 97 % 1500, char(97 + n % 26))"

# transactions FROM COUNT: three lines each, and their sum. Each says its number
# when sqlite3 says that it is committed.
transactions() {
    for t in $(seq "$1" $(($1 + $2 - 1))); do
        echo "BEGIN;"
        for n in $((3 * t)) $((3 * t + 1)) $((3 * t + 2)); do
            echo "INSERT INTO lines SELECT n, $text FROM (SELECT $n AS n);"
        done
        echo "UPDATE sums SET lines = lines + 3; COMMIT; SELECT $t;"
    done
}

insert() {
    {
        echo "PRAGMA synchronous = EXTRA;"
        transactions $((committed + 1)) 40
    } >/tmp/sql
    if sqlite3 -bail $database </tmp/sql >/tmp/done 2>/tmp/why; then
        tell unnoticed: all 40 transactions are said to be committed
        return 1
    fi
    [ -s /tmp/done ] && committed=$(tail -n 1 /tmp/done)
    tell refused "$(cat /tmp/why)"
}

ask() {
    sqlite3 $database "$1"
}

check() {
    # ext4 has given up if the write was one of its journal's.
    umount /mnt
    echo 3 >/proc/sys/vm/drop_caches
    e2fsck -fp /dev/vda || [ $? = 1 ]
    mount -t ext4 /dev/vda /mnt
    is "integrity" "$(ask 'PRAGMA integrity_check')" ok
    is "the number of lines" "$(ask 'SELECT count(*) FROM lines')" \
        $((3 * committed))
    is "the sum" "$(ask 'SELECT lines FROM sums')" $((3 * committed))
    is "the number of wrong lines" \
        "$(ask "SELECT count(*) FROM lines WHERE text <> $text")" 0
    tell holds $committed transactions
}

while read -r word; do
    case $word in
        insert) insert ;;
        check) check ;;
        end) break ;;
    esac
done
umount /mnt
