// The reference answers of the differential fuzz: one JSON case a line on stdin, one JSON answer a line on stdout.
//
// A case with "expression" evaluates that selector on one device; any other case allocates claims on a node with the
// feature set of the release (everything that is on by default).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"
)

type testCase struct {
	Node             *corev1.Node                            `json:"node"`
	DeviceClasses    []*resourceapi.DeviceClass              `json:"deviceClasses"`
	ResourceSlices   []*resourceapi.ResourceSlice            `json:"resourceSlices"`
	Claims           []*resourceapi.ResourceClaim            `json:"claims"`
	AllocatedDevices []string                                `json:"allocatedDevices"`
	AllocatedShares  []string                                `json:"allocatedSharedDeviceIDs"`
	Aggregated       map[string]map[string]resource.Quantity `json:"aggregatedCapacity"`

	Expression string              `json:"expression"`
	Driver     string              `json:"driver"`
	Device     *resourceapi.Device `json:"device"`
}

type answer struct {
	Results      []resourceapi.AllocationResult `json:"results,omitempty"`
	Error        string                         `json:"error,omitempty"`
	OnNode       bool                           `json:"onNode,omitempty"`
	Match        *bool                          `json:"match,omitempty"`
	CompileError string                         `json:"compileError,omitempty"`
	Cost         uint64                         `json:"cost,omitempty"`
}

type classLister map[string]*resourceapi.DeviceClass

func (l classLister) List() ([]*resourceapi.DeviceClass, error) {
	var all []*resourceapi.DeviceClass
	for _, class := range l {
		all = append(all, class)
	}
	return all, nil
}

func (l classLister) Get(name string) (*resourceapi.DeviceClass, error) {
	if class, ok := l[name]; ok {
		return class, nil
	}
	return nil, fmt.Errorf("%q not found", name)
}

var features = structured.Features{
	AdminAccess:             true,
	PrioritizedList:         true,
	PartitionableDevices:    true,
	DeviceTaints:            true,
	DeviceBindingAndStatus:  true,
	ConsumableCapacity:      true,
	FractionalCapacityRange: true,
}

var celFeatures = cel.Features{EnableConsumableCapacity: true}

func main() {
	reader := bufio.NewReaderSize(os.Stdin, 1<<20)
	writer := bufio.NewWriter(os.Stdout)
	defer writer.Flush()
	celCache := cel.NewCache(100, celFeatures)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 1 {
			encoded, marshalErr := json.Marshal(answerOf(line, celCache))
			if marshalErr != nil {
				panic(marshalErr)
			}
			writer.Write(append(encoded, '\n'))
			writer.Flush()
		}
		if err != nil {
			return
		}
	}
}

func answerOf(line []byte, celCache *cel.Cache) answer {
	var given testCase
	if err := json.Unmarshal(line, &given); err != nil {
		return answer{Error: "bad case: " + err.Error()}
	}
	if given.Expression != "" {
		return evaluate(given)
	}
	return allocate(given, celCache)
}

func evaluate(given testCase) answer {
	compiled := cel.GetCompiler(celFeatures).CompileCELExpression(given.Expression, cel.Options{})
	if compiled.Error != nil {
		return answer{CompileError: compiled.Error.Error()}
	}
	matches, details, err := compiled.DeviceMatches(context.Background(), cel.Device{
		Driver:                   given.Driver,
		AllowMultipleAllocations: given.Device.AllowMultipleAllocations,
		Attributes:               given.Device.Attributes,
		Capacity:                 given.Device.Capacity,
	})
	var cost uint64
	if details != nil && details.ActualCost() != nil {
		cost = *details.ActualCost()
	}
	if err != nil {
		return answer{Error: err.Error(), Cost: cost}
	}
	return answer{Match: &matches, Cost: cost}
}

func allocate(given testCase, celCache *cel.Cache) answer {
	ctx := context.Background()
	classes := classLister{}
	for _, class := range given.DeviceClasses {
		classes[class.Name] = class
	}
	allocator, err := structured.NewAllocator(ctx, features, stateOf(given), classes, given.ResourceSlices, celCache)
	if err != nil {
		return answer{Error: err.Error()}
	}
	results, err := allocator.Allocate(ctx, given.Node, given.Claims)
	if err != nil {
		return answer{Error: err.Error(), OnNode: errors.Is(err, structured.ErrFailedAllocationOnNode)}
	}
	return answer{Results: results}
}

func stateOf(given testCase) structured.AllocatedState {
	state := structured.AllocatedState{
		AllocatedDevices:         sets.New[structured.DeviceID](),
		AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
		AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
	}
	for _, name := range given.AllocatedDevices {
		state.AllocatedDevices.Insert(deviceID(name))
	}
	for _, name := range given.AllocatedShares {
		cut := strings.LastIndex(name, "/")
		share := types.UID(name[cut+1:])
		state.AllocatedSharedDeviceIDs.Insert(structured.MakeSharedDeviceID(deviceID(name[:cut]), &share))
	}
	for name, amounts := range given.Aggregated {
		consumed := map[resourceapi.QualifiedName]resource.Quantity{}
		for capacity, amount := range amounts {
			consumed[resourceapi.QualifiedName(capacity)] = amount
		}
		state.AggregatedCapacity.Insert(structured.NewDeviceConsumedCapacity(deviceID(name), consumed))
	}
	return state
}

func deviceID(name string) structured.DeviceID {
	parts := strings.SplitN(name, "/", 3)
	return structured.MakeDeviceID(parts[0], parts[1], parts[2])
}
