package shop

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

const api = "https://api.example.com/v1"

func TestUser(t *testing.T) {
	answer, err := http.Get(api + "/users/7")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var user struct{ Name string }
	if err := json.NewDecoder(answer.Body).Decode(&user); err != nil || user.Name != "Ada" {
		t.Fatalf("status %d, user %+v, %v", answer.StatusCode, user, err)
	}
}

func TestOrder(t *testing.T) {
	answer, err := http.Post(api+"/orders", "application/json", strings.NewReader(`{"item":"tea","count":2}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("status %d", answer.StatusCode)
	}
}
