-- Asks for the paths given behind `--` in turn. The last line is for measure.py: requests, microseconds,
-- p50 and p99 in microseconds, answers of status 400 and above, socket errors.
local requests, last = {}, 0

function init(paths)
    for number, path in ipairs(paths) do requests[number] = wrk.format("GET", path) end
end

function request()
    last = last % #requests + 1
    return requests[last]
end

function done(summary, latency)
    local errors = summary.errors
    print("result", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout)
end
