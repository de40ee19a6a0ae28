/**
 * How many replicas follow a server, by INFO's section on replication. By their addresses: one that has lost its
 * connection and made another is listed with both until the primary notices, which may take `repl-timeout`.
 */
export const replicasIn = `
local function replicas_in(info)
  local counted, count = {}, 0
  for address in string.gmatch(info, 'slave%d+:(ip=[^,]*,port=%d+),state=online') do
    if not counted[address] then counted[address], count = true, count + 1 end
  end
  return count
end
`;
