package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"
)

func newSecretCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "secret",
		Short: "Print a fresh cookie secret",
		Long:  `Prints 32 random bytes in base64, for cookie.secret or a file that cookie.secret_file names.`,
		Example: `  authsvc secret > /etc/authsvc.secret && chmod 600 /etc/authsvc.secret
  AUTHSVC_COOKIE_SECRET=$(authsvc secret) authsvc serve`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			secret := make([]byte, 32)
			rand.Read(secret) // never fails: it ends the program where there is no randomness
			_, err := fmt.Fprintln(c.OutOrStdout(), base64.StdEncoding.EncodeToString(secret))
			return err
		},
	}
}
