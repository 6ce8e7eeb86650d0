-- Health of a Job. Argo CD's own takes a Job that was suspended once for done as soon as it is resumed.
local health = {}
local spec = obj.spec or {}
local status = obj.status or {}

local function count(name)
  return tostring(status[name] or 0)
end

local held = {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "True" then
    held[condition.type] = condition
  end
end

local function said(condition)
  local message = condition.message or ""
  if condition.reason ~= nil and condition.reason ~= "" then
    message = condition.reason .. ": " .. message
  end
  return message
end

-- FailureTarget comes first of all: the Job has failed, and its pods are still ending.
local failed = held["Failed"] or held["FailureTarget"]
if failed ~= nil then
  health.status = "Degraded"
  health.message = said(failed)
elseif held["Complete"] ~= nil then
  health.status = "Healthy"
  health.message = "done: " .. count("succeeded") .. " of " .. tostring(spec.completions or 1) .. " tasks"
elseif spec.suspend == true then
  health.status = "Suspended"
  health.message = "suspended"
else
  health.status = "Progressing"
  health.message = count("active") .. " active, " .. count("ready") .. " ready, "
    .. count("succeeded") .. " of " .. tostring(spec.completions or 1) .. " tasks done"
  if status.failedIndexes ~= nil and status.failedIndexes ~= "" then
    health.message = health.message .. ", failed: " .. status.failedIndexes
  end
end
return health
