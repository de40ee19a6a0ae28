/**
 * How many replicas follow a server, by INFO's section on replication. By their addresses: one that has lost its
 * connection and made another is listed with both until the primary notices, which may take `repl-timeout`.
 */
export const replicasIn = `
local function replicas_in(info)
  -- Every read comes by here: where there can be no replica twice, none is looked at.
  local first = string.find(info, 'state=online', 1, true)
  if not first then return 0 end
  if not string.find(info, 'state=online', first + 1, true) then return 1 end
  local counted, count = {}, 0
  for address in string.gmatch(info, 'slave%d+:(ip=[^,]*,port=%d+),state=online') do
    if not counted[address] then counted[address], count = true, count + 1 end
  end
  return count
end
`;
