module foreshore.local/oracle/pause

go 1.26.0
