-- What a class on a table cell, a table row or a span means, for both engines and both formats: HTML has theme/paper.css
-- for it, typst gets properties that pandoc's writer turns into arguments of table.cell.

local typst = FORMAT == "typst"
local FILL = { ["diff-0"] = "#ffffff", ["diff-1"] = "#fdf1d8", ["diff-2"] = "#fbdca6", ["diff-3"] = "#f6bd73", ["diff-4"] = "#ec9a4f" }

local function shade(classes)
  for _, class in ipairs(classes) do
    if FILL[class] then return FILL[class] end
  end
end

local function top_rule(row, weight)
  for _, cell in ipairs(row.cells) do cell.attributes["typst:stroke"] = "(top: " .. weight .. ")" end
end

local function cells(rows, head)
  for _, row in ipairs(rows) do
    for _, cell in ipairs(row.cells) do
      if cell.classes:includes("sign") then -- narrow: a column for each evaluation mode of each data set
        cell.alignment = "AlignCenter"
        if typst then cell.attributes["typst:inset"] = "(x: 1pt, y: 3.2pt)" end
        if typst and head then cell.attributes["typst:text:size"] = "7.5pt" end
      end
      if cell.classes:includes("num") then
        cell.alignment = "AlignRight"
        cell.contents = cell.contents:walk({ Space = function() return pandoc.Str("\u{a0}") end })
      end
      if head and not typst and not cell.attributes.scope then
        cell.attributes.scope = cell.col_span > 1 and "colgroup" or "col"
      end
      if typst then
        if cell.row_span > 1 then cell.attributes["typst:breakable"] = "false" end -- no page break inside a group
        local fill = shade(cell.classes)
        if fill then cell.attributes["typst:fill"] = 'rgb("' .. fill .. '")' end
        if cell.classes:includes("muted") then cell.attributes["typst:text:fill"] = "luma(110)" end
      end
    end
    if typst and row.classes:includes("rule") then top_rule(row, "0.4pt + luma(150)") end
  end
end

local function Table(el)
  -- The HTML reader shares the width out evenly; columns of numbers want no more than they need.
  if not el.classes:includes("full-width") then
    for n, spec in ipairs(el.colspecs) do el.colspecs[n] = { spec[1], nil } end
  end
  if typst then -- a column without an alignment would take that of the page around it
    for n, spec in ipairs(el.colspecs) do
      if spec[1] == "AlignDefault" then el.colspecs[n] = { "AlignLeft", spec[2] } end
    end
  end
  cells(el.head.rows, true)
  for n, body in ipairs(el.bodies) do
    cells(body.body)
    if typst and n > 1 and body.body[1] then top_rule(body.body[1], "0.4pt + luma(150)") end
  end
  if typst then -- a header over several columns gets a rule of its own below it
    for _, row in ipairs(el.head.rows) do
      for _, cell in ipairs(row.cells) do
        if cell.col_span > 1 then
          cell.alignment = "AlignCenter"
          cell.attributes["typst:stroke"] = "(bottom: 0.4pt)"
        end
      end
    end
  end
  return el
end

-- On paper nothing can be pointed at, and a page beside the PDF is no place to lead to.
local function Link(el)
  if typst and el.classes:includes("from") then return el.content end
end

local function Span(el)
  if typst and el.classes:includes("html-only") then return {} end
  if typst and el.classes:includes("from") then return el.content end
  if typst and el.classes:includes("delta") then
    return { pandoc.RawInline("typst", "#text(size: 0.85em, fill: luma(45))["), el, pandoc.RawInline("typst", "]") }
  end
  local fill = typst and shade(el.classes)
  if fill then
    return { pandoc.RawInline("typst", '#box(fill: rgb("' .. fill .. '"), stroke: 0.3pt + luma(160), inset: (x: 3pt), outset: (y: 2.5pt))['), el,
      pandoc.RawInline("typst", "]") }
  end
end

local function Div(el)
  if typst and el.classes:includes("table-note") then
    return { pandoc.RawBlock("typst", "#table-note["), el, pandoc.RawBlock("typst", "]") }
  end
end

-- On the page, tables below a heading with the class tables-on-demand are closed until they are asked for.
local on_demand = false

local function Heading(el)
  on_demand = on_demand or el.classes:includes("tables-on-demand")
end

local function Closed(el)
  if typst or not on_demand then return el, false end
  local rows = 0
  for _, body in ipairs(el.bodies) do rows = rows + #body.body end
  local summary = "Show the table (" .. rows .. (rows == 1 and " row)" or " rows)")
  return { pandoc.RawBlock("html", '<details class="on-demand"><summary>' .. summary .. "</summary>"), el, pandoc.RawBlock("html", "</details>") }, false
end

return { { Table = Table, Span = Span, Link = Link, Div = Div }, { traverse = "topdown", Header = Heading, Table = Closed } }
