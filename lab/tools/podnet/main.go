// Command podnet is the pod network of the kind cluster: one runs on every node.
//
// It gives the node's pods addresses of the range that Kubernetes chose for the node, and routes
// to the ranges of the other nodes. Nothing is translated: pods see each other's own addresses.
//
//	NODE_NAME=k-worker CONTROL_PLANE=k-control-plane:6443 podnet
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	account = "/var/run/secrets/kubernetes.io/serviceaccount"
	folder  = "/etc/cni/net.d"
	file    = "10-podnet.conflist"
	// How often it looks: until the node has its network, and then for nodes that come and go.
	impatient, patient = time.Second, 5 * time.Second
)

// node is what matters of a Kubernetes node.
type node struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		PodCIDR string `json:"podCIDR"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
	} `json:"status"`
}

func (n node) address() net.IP {
	for _, found := range n.Status.Addresses {
		if found.Type == "InternalIP" {
			return net.ParseIP(found.Address)
		}
	}
	return nil
}

func main() {
	own, server := os.Getenv("NODE_NAME"), os.Getenv("CONTROL_PLANE")
	if own == "" || server == "" {
		log.Fatal("podnet: NODE_NAME and CONTROL_PLANE are needed")
	}
	pause := impatient
	for ; ; time.Sleep(pause) {
		nodes, err := list(server)
		if err != nil {
			log.Print(err)
			continue
		}
		for _, found := range nodes {
			if err := serve(found, own); err != nil {
				log.Printf("%s: %v", found.Metadata.Name, err)
			} else if found.Metadata.Name == own && found.Spec.PodCIDR != "" {
				pause = patient
			}
		}
	}
}

// list asks the API server by the control plane's own name: the address of its Service
// works only when kube-proxy does, and kube-proxy waits for nothing that would come first.
func list(server string) ([]node, error) {
	authority, err := os.ReadFile(filepath.Join(account, "ca.crt"))
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(account, "token")) // rotated: read each time
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	request, err := http.NewRequest(http.MethodGet, "https://"+server+"/api/v1/nodes", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	answer, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API server answers %s", answer.Status)
	}
	var nodes struct {
		Items []node `json:"items"`
	}
	return nodes.Items, json.NewDecoder(answer.Body).Decode(&nodes)
}

// serve configures the own node, or routes to another one; a node without a range waits.
func serve(found node, own string) error {
	if found.Spec.PodCIDR == "" {
		return nil
	}
	_, subnet, err := net.ParseCIDR(found.Spec.PodCIDR)
	if err != nil {
		return err
	}
	if found.Metadata.Name == own {
		return configure(folder, subnet)
	}
	return netlink.RouteReplace(&netlink.Route{Dst: subnet, Gw: found.address()})
}

// configure writes the node's network for containerd, whole or not at all, once.
func configure(folder string, subnet *net.IPNet) error {
	target := filepath.Join(folder, file)
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	content, err := json.MarshalIndent(network(subnet), "", " ")
	if err != nil {
		return err
	}
	partial := target + ".new" // not a name that containerd reads
	if err := os.WriteFile(partial, content, 0o644); err != nil {
		return err
	}
	return os.Rename(partial, target)
}

// network is a routed pair of interfaces for each pod. A bridge would let the pods of one node
// bypass the rewriting of service addresses on the way back.
func network(subnet *net.IPNet) map[string]any {
	addresses := map[string]any{
		"type":    "host-local",
		"dataDir": "/run/cni",
		"ranges":  [][]map[string]string{{{"subnet": subnet.String()}}},
		"routes":  []map[string]string{{"dst": "0.0.0.0/0"}},
	}
	return map[string]any{
		"cniVersion": "1.0.0",
		"name":       "podnet",
		"plugins": []map[string]any{
			{"type": "ptp", "ipam": addresses},
			{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		},
	}
}
