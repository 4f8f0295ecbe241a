// Command git-server serves bare repositories over HTTPS by handing each request to Git's
// own git-http-backend. Flux does not speak git://, and a real Git protocol end is what a
// user's forge gives it.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/cgi"
	"time"
)

func main() {
	listen := flag.String("listen", "", "address and port to serve on")
	root := flag.String("root", "", "folder that holds the bare repositories")
	backend := flag.String("backend", "", "path of git-http-backend")
	certificate := flag.String("certificate", "", "server certificate, PEM")
	key := flag.String("key", "", "private key of the certificate, PEM")
	flag.Parse()

	server := &http.Server{
		Addr: *listen,
		Handler: &cgi.Handler{
			Path: *backend,
			Env:  []string{"GIT_PROJECT_ROOT=" + *root, "GIT_HTTP_EXPORT_ALL=1"},
		},
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.ListenAndServeTLS(*certificate, *key))
}
