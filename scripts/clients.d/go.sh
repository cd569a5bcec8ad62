# needs: apt:go=golang-go
# took: none on Linux (loopback origins need a line, and so does the CA on macOS)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/main.go" <<'GO'
package main

import (
	"io"
	"net/http"
	"os"
	"strings"
)

func keep(name string, answer *http.Response, err error) {
	if err != nil {
		panic(err)
	}
	file, _ := os.Create(os.Getenv("OUT") + "/" + name)
	if _, err := io.Copy(file, answer.Body); err != nil || answer.StatusCode >= 400 {
		panic(answer.Status)
	}
}

func main() {
	base := os.Getenv("BASE")
	answer, err := http.Get(base + "/api/json?page=2")
	keep("json", answer, err)
	answer, err = http.Get(base + "/api/gzip")
	keep("gzip", answer, err)
	answer, err = http.Post(base+"/api/items", "application/json", strings.NewReader(`{"name":"Ada"}`))
	keep("post", answer, err)
	answer, err = http.Get(base + "/api/redirect")
	keep("redirect", answer, err)
	answer, err = http.Get(base + "/api/image.png")
	keep("image", answer, err)
}
GO
GO111MODULE=off GOCACHE="$work/cache" go build -o "$work/client" "$work/main.go"
"$work/client"
