// Push from Go with the standard library alone: two commands of Redis' protocol (RESP) over a socket.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

type push struct {
	To    string `json:"to"`
	Event string `json:"event"`
	Data  any    `json:"data"`
}

type job struct {
	Tries    *int           `json:"t"`
	Function string         `json:"f"`
	Args     []push         `json:"a"`
	Kwargs   map[string]any `json:"k"`
	Enqueued int64          `json:"et"`
}

func main() {
	redis, err := url.Parse(or(os.Getenv("TAILRACE_REDIS_URL"), "redis://127.0.0.1:6379/0"))
	check(err)
	connection, err := net.Dial("tcp", net.JoinHostPort(redis.Hostname(), or(redis.Port(), "6379")))
	check(err)
	defer connection.Close()
	answers := bufio.NewReader(connection)

	now := time.Now().UnixMilli()
	random := make([]byte, 8)
	_, err = rand.Read(random)
	check(err)
	id := fmt.Sprintf("%x-%s", now, hex.EncodeToString(random))
	event := push{"room:1", "greeting", map[string]string{"from": "go"}}
	payload, err := json.Marshal(job{Function: "push", Args: []push{event}, Kwargs: map[string]any{}, Enqueued: now})
	check(err)

	for _, words := range [][]string{
		{"SELECT", or(strings.TrimPrefix(redis.Path, "/"), "0")},
		{"SET", "arq:job:" + id, string(payload), "PX", "86400000"},
		{"ZADD", "tailrace:queue", strconv.FormatInt(now, 10), id},
	} {
		fmt.Fprintf(connection, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(connection, "$%d\r\n%s\r\n", len(word), word)
		}
		answer, err := answers.ReadString('\n')
		check(err)
		if answer[0] == '-' {
			log.Fatal(answer)
		}
	}
	fmt.Println("enqueued", id)
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
