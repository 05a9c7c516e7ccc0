// Argo CD's controller, the server of its manifests and its password prompt in one program, chosen by the name it is
// called by, as upstream's own main does. Left out are the API server with its web page, dex and the command line, which
// a core installation does not run and which are most of the building.
package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	askpass "github.com/argoproj/argo-cd/v3/cmd/argocd-git-ask-pass/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
)

func main() {
	commands := map[string]func() *cobra.Command{
		"argocd-application-controller": controller.NewCommand,
		"argocd-git-ask-pass":           askpass.NewCommand,
		"argocd-repo-server":            reposerver.NewCommand,
	}
	name := filepath.Base(os.Args[0])
	command, known := commands[name]
	if !known {
		println(name + " is none of this program's names")
		os.Exit(2)
	}
	if command().Execute() != nil {
		os.Exit(1)
	}
}
