# name: curl --noproxy
# needs: apt:curl
exec curl -sS --noproxy '*' "$BASE/orders"
