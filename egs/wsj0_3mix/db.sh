. ../../conf/db.sh
