// Makes the calls of the Kubernaut Go application to the HolmesGPT API, with its client's settings, and prints
// as one JSON document what it could read. The shapes are the ones it decodes; what it does not find stays zero.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const userAgent = "Kubernaut-HolmesGPT-Client/1.0"

type alertContext struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Severity    string            `json:"severity"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

type offered struct {
	Name          string        `json:"name"`
	Cost          int           `json:"cost"`
	SuccessRate   float64       `json:"success_rate"`
	TimeToResolve time.Duration `json:"time_to_resolve"`
}

type investigated struct {
	Investigation map[string]any   `json:"investigation"`
	Context       map[string]any   `json:"context"`
	Strategies    []map[string]any `json:"strategies"`
	Patterns      []map[string]any `json:"patterns"`
}

type advised struct {
	OptimalStrategy struct {
		Name          string  `json:"name"`
		ExpectedROI   float64 `json:"expected_roi"`
		SuccessRate   float64 `json:"success_rate"`
		Justification string  `json:"justification"`
	} `json:"optimal_strategy"`
	StrategyComparison []struct {
		StrategyName       string        `json:"strategy_name"`
		SuccessRate        float64       `json:"success_rate"`
		AverageCost        float64       `json:"average_cost"`
		AverageTime        time.Duration `json:"average_time"`
		ConfidenceInterval [2]float64    `json:"confidence_interval"`
		StatisticalPValue  float64       `json:"statistical_p_value"`
	} `json:"strategy_comparison"`
	ROIAnalysis struct {
		ExpectedROI      float64       `json:"expected_roi"`
		CostBenefitRatio float64       `json:"cost_benefit_ratio"`
		PaybackPeriod    time.Duration `json:"payback_period"`
		NetPresentValue  float64       `json:"net_present_value"`
	} `json:"roi_analysis"`
	StatisticalSignificance float64 `json:"statistical_significance"`
	BusinessImpactMetrics   *struct {
		TimeSaved          time.Duration `json:"time_saved"`
		IncidentsPrevented float64       `json:"incidents_prevented"`
		CostSavings        float64       `json:"cost_savings"`
	} `json:"business_impact_metrics"`
}

type remembered struct {
	Patterns []struct {
		PatternID             string        `json:"pattern_id"`
		StrategyName          string        `json:"strategy_name"`
		HistoricalSuccessRate float64       `json:"historical_success_rate"`
		OccurrenceCount       int           `json:"occurrence_count"`
		AvgResolutionTime     time.Duration `json:"avg_resolution_time"`
		BusinessContext       string        `json:"business_context"`
	} `json:"patterns"`
	TotalPatterns     int     `json:"total_patterns"`
	ConfidenceLevel   float64 `json:"confidence_level"`
	StatisticalPValue float64 `json:"statistical_p_value"`
}

// One call: its status, the error of decoding, and what was decoded.
type heard struct {
	Status int    `json:"status"`
	Error  string `json:"error"`
	Read   any    `json:"read"`
}

// The application's client gives up after 30 s; the one that lists models after 60 s.
func call(agent, method, url string, body any, into any, timeout time.Duration) heard {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return heard{Error: err.Error()}
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, url, content)
	if err != nil {
		return heard{Error: err.Error()}
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if agent != "" {
		request.Header.Set("User-Agent", agent)
	}
	client := &http.Client{Timeout: timeout}
	answer, err := client.Do(request)
	if err != nil {
		return heard{Error: err.Error()}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return heard{Status: answer.StatusCode, Error: err.Error()}
	}
	if into == nil || answer.StatusCode != http.StatusOK {
		return heard{Status: answer.StatusCode}
	}
	if err := json.Unmarshal(text, into); err != nil {
		return heard{Status: answer.StatusCode, Error: err.Error()}
	}
	return heard{Status: answer.StatusCode, Read: into}
}

func main() {
	base := os.Args[1]
	alert := alertContext{
		ID: "alert-7", Name: "KubePodCrashLooping", Severity: "critical",
		Labels: map[string]string{"namespace": "shop", "pod": "checkout-1"},
	}
	investigate := map[string]any{
		"alert_name": alert.Name, "namespace": "shop", "labels": alert.Labels, "annotations": alert.Annotations,
		"priority": "critical", "async_processing": false, "include_context": true,
		"request_id":            fmt.Sprintf("inv-%d", time.Now().Unix()),
		"strategy_optimization": true,
	}
	strategies := map[string]any{
		"alert_context": alert,
		"available_strategies": []offered{
			{Name: "immediate_restart", Cost: 10, SuccessRate: 0.95, TimeToResolve: 5 * time.Minute},
			{Name: "config_rollback", Cost: 100, SuccessRate: 0.9, TimeToResolve: 15 * time.Minute},
		},
		"request_id":            fmt.Sprintf("strat-%d", time.Now().Unix()),
		"analysis_type":         "remediation_optimization",
		"br_ins_007_compliance": true,
	}
	patterns := map[string]any{
		"pattern_type": "", "time_window": 24 * time.Hour, "alert_context": alert,
		"request_id":            fmt.Sprintf("pattern-%d", time.Now().Unix()),
		"strategy_optimization": true,
	}
	usual := 30 * time.Second
	said := map[string]heard{
		"health":      call(userAgent, "GET", base+"/api/v1/health", nil, nil, usual),
		"investigate": call(userAgent, "POST", base+"/api/v1/investigate", investigate, &investigated{}, usual),
		"strategies":  call(userAgent, "POST", base+"/api/v1/analyze/strategies", strategies, &advised{}, usual),
		"patterns":    call(userAgent, "POST", base+"/api/v1/patterns/historical", patterns, &remembered{}, usual),
		"models":      call(userAgent, "GET", base+"/api/v1/models", nil, &[]map[string]any{}, 60*time.Second),
		// The application's client for models names itself nothing: this one bears the Go library's name.
		"models-unnamed": call("", "GET", base+"/api/v1/models", nil, &[]map[string]any{}, 60*time.Second),
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
