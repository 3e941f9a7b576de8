. ../../conf/cmd.sh
