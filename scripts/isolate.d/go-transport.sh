# name: Go with its own Transport
# needs: apt:go=golang-go
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/main.go" <<'GO'
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	client := http.Client{Transport: &http.Transport{}}
	answer, err := client.Get(os.Getenv("BASE") + "/orders")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	io.Copy(os.Stdout, answer.Body)
}
GO
GO111MODULE=off GOCACHE="$work/cache" go build -o "$work/client" "$work/main.go"
"$work/client"
