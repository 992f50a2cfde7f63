package client_test

import (
	"context"
	"fmt"
	"os"

	"github.com/setpointhq/setpoint/client"
	"github.com/setpointhq/setpoint/config"
)

func ExampleClient_Get() {
	c, err := client.New(client.Options{
		Endpoints: []string{"https://setpoint.example:7400"},
		Token:     config.NewSecret(os.Getenv("TOKEN")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	path, err := config.ParsePath("acme/checkout/prod/application.yml")
	if err != nil {
		fmt.Println(err)
		return
	}
	served, err := c.Get(context.Background(), path, client.ReadOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("version %d\n%s", served.Version, served.Content)
}

func ExampleClient_Watch() {
	c, err := client.New(client.Options{
		Endpoints: []string{"https://setpoint.example:7400"},
		Token:     config.NewSecret(os.Getenv("TOKEN")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	// First comes what is served now, then every change, for as long as the loop runs.
	for event, err := range c.Watch(context.Background(), client.WatchRequest{Patterns: []string{"acme/checkout/prod"}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, change := range event.Changes {
			fmt.Printf("%s is version %d: %d bytes\n", change.Path, change.Version, len(change.Content))
		}
		if event.Current {
			fmt.Println("up to date")
		}
	}
}
