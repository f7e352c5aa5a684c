package cluster

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLS is how a Redis behind rediss:// is recognised, and how it recognises this instance. Files are read at load.
type TLS struct {
	// CA is a PEM file with the only authorities to trust. Default: the system's.
	CA string `json:"ca,omitempty"`

	// ServerName is the name that the certificate has to bear. Default: the host of the URL.
	ServerName string `json:"server_name,omitempty"`

	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool `json:"insecure_skip_verify,omitempty"`

	// ClientCertificate and ClientKey are PEM files with the certificate to show, and its key. Default: none.
	ClientCertificate string `json:"client_certificate,omitempty"`
	ClientKey         string `json:"client_key,omitempty"`
}

// config reads the files. identity tells configurations apart, by the content of their files. t may be nil, for the defaults.
func (t *TLS) config(host string, fill func(string) string) (config *tls.Config, identity string, err error) {
	if t == nil {
		t = new(TLS)
	}
	config = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         cmp.Or(fill(t.ServerName), host),
		InsecureSkipVerify: t.InsecureSkipVerify, //nolint:gosec // the operator asked for it
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "%q %v\n", config.ServerName, t.InsecureSkipVerify)
	if t.CA != "" {
		pem, err := os.ReadFile(fill(t.CA))
		if err != nil {
			return nil, "", fmt.Errorf("ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, "", fmt.Errorf("ca: %s holds no certificate in PEM form", t.CA)
		}
		digest.Write(pem)
	}
	if (t.ClientCertificate == "") != (t.ClientKey == "") {
		return nil, "", errors.New("the client's certificate needs its key: write 'client_certificate <cert.pem> <key.pem>'")
	}
	if t.ClientCertificate != "" {
		pair, err := tls.LoadX509KeyPair(fill(t.ClientCertificate), fill(t.ClientKey))
		if err != nil {
			return nil, "", fmt.Errorf("client_certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
		for _, der := range pair.Certificate {
			digest.Write(der)
		}
	}
	return config, fmt.Sprintf("%x", digest.Sum(nil)), nil
}
