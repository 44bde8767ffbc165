-- From the parsed Markdown to a document that pandoc's HTML and typst writers can write: numbers, references, floats,
-- layouts, callouts, conditional content, citations. Every number is given here, so HTML and PDF cannot differ.
--
-- Order of work: title block, blocks (top down, in document order), references, citations.

local typst = FORMAT == "typst"
local NAMES = { fig = "Figure", tbl = "Table", sec = "Section" }
local CALLOUTS = { note = "Note", tip = "Tip", important = "Important", warning = "Warning", caution = "Caution" }
local COLUMNS = { ["column-page"] = true, ["column-body-outset"] = true }
local NBSP = "\u{a0}"

local problems, labels, counts = {}, {}, { fig = 0, tbl = 0 }

-- `needle` is what the caller looks for in the source to name the line.
local function problem(needle, what) table.insert(problems, needle .. "\t" .. what) end
local function raw(text) return pandoc.RawBlock(FORMAT, text) end
local function kind_of(id) local kind = id:match("^(%l%l%l)%-") return NAMES[kind] and kind end

local function define(id, entry)
  if labels[id] then problem("#" .. id, "'" .. id .. "' is used twice; a label names one thing") end
  labels[id] = entry
end

local blocks -- forward: floats hold blocks, blocks hold floats

-- Images ----------------------------------------------------------------------------------------------------------------

local ENTITIES = { ["&"] = "&amp;", ['"'] = "&quot;", ["<"] = "&lt;", [">"] = "&gt;" }

local function attribute(text) return '"' .. text:gsub('[&"<>]', ENTITIES) .. '"' end

-- A drawing as itself, with as little escaped as HTML and addresses ask for: three fifths of what base64 takes, and of a
-- page of twenty figures a tenth less than what pandoc makes of the same address, for it escapes every angle bracket.
local function drawing(svg)
  -- Without what matplotlib writes and nobody reads: a quarter.
  svg = svg:gsub(' transform="rotate%(%-0 [^)]*%)"', ""):gsub(' id="[%a.]+%d?d?_%d+"', ""):gsub(">%s+<", "><")
  svg = svg:gsub(' d="[^"]*"', function(path) return (path:gsub("%s*([MLCQZ])%s*", "%1")) end)
  svg = svg:gsub(' style="[^"]*"', function(style) return (style:gsub("([:;]) ", "%1")) end)
  for _ = 1, 3 do svg = svg:gsub("<g>(<%a+[^>]*/>)</g>", "%1") end
  -- An image is a document of its own: ids need no prefix, and references no namespace.
  svg = svg:gsub('([#"])d%x%x%x%x%x%x%-(%d)', "%1d%2"):gsub("xlink:href=", "href=")
  local codes = { ["%"] = "%25", ["#"] = "%23", ["&"] = "&amp;", ["\n"] = " ", ['"'] = svg:find("'", 1, true) and "%22" or "'" }
  return '"data:image/svg+xml,' .. svg:gsub('[%%#&\n"]', codes) .. '"'
end

local function image(img)
  local ok, mime, data = pcall(pandoc.mediabag.fetch, img.src)
  if img.src:match("^%a[%w+.-]+://") or not ok or not data then
    problem(img.src, "image '" .. img.src .. "' cannot be read; give a file beside the document")
    return img
  end
  img.attributes.alt = img.attributes["fig-alt"] or img.attributes.alt or pandoc.utils.stringify(img.caption)
  img.attributes["fig-alt"] = nil
  if typst then
    local name = pandoc.utils.sha1(data) .. img.src:match("%.%w+$")
    local file = assert(io.open(pandoc.path.join({ os.getenv("RENDER_MEDIA"), name }), "wb"))
    file:write(data)
    file:close()
    local width = img.attributes.width
    if width and not width:match("^[%d.]+%%$") and not width:match("^[%d.]+[icm][nm]$") then
      problem('width="' .. width, "image width '" .. width .. "'; give it in %, in, cm or mm")
    end
    local alt = img.attributes.alt:gsub("[\\\"]", "\\%0")
    return pandoc.RawInline("typst", '#box(image("' .. name .. '", alt: "' .. alt .. '"' .. (width and ", width: " .. width or "") .. "))")
  end
  -- Pictures are half of a page's work: those far from the screen wait, and their places are kept for them.
  img.attributes.loading = "lazy"
  if mime ~= "image/svg+xml" then
    img.src = pandoc.mediabag.make_data_uri(mime, data)
    return img
  end
  local width, height = data:match('<svg[^>]- width="([%d.]+)pt"'), data:match('<svg[^>]- height="([%d.]+)pt"')
  if width and height and not img.attributes.width then
    img.attributes.width, img.attributes.height = math.floor(width * 4 / 3), math.floor(height * 4 / 3) -- CSS pixels
  end
  local html = pandoc.List({ "<img src=" .. drawing(data) })
  for name, value in pairs(img.attributes) do html:insert(name .. "=" .. attribute(value)) end
  return pandoc.RawInline("html", table.concat(html, " ") .. ">")
end

-- Tables ----------------------------------------------------------------------------------------------------------------

-- A table in a raw HTML block belongs to every format: it has what Markdown tables lack (spans, classes).
local function raw_html(el)
  local html = el.text:match("<table.*</table>")
  if html then return pandoc.read(html, "html").blocks end
  if el.text:match("^%s*<table") then
    problem("<table", "a table in bare HTML; put it into a block ```{=html}")
  end
  return { el }
end

-- On a phone a wide table scrolls in a box of its own, which has to be reachable by keyboard.
local function scrollable(el, name)
  if typst then return name and { el } or { raw("#block(width: 100%)[#set align(center)"), el, raw("]") } end
  local attributes = { { "tabindex", "0" }, { "role", "region" }, { "aria-label", name or "Table" } } -- pairs keep their order
  return { pandoc.Div({ el }, pandoc.Attr("", { "table-scroll" }, attributes)) }
end

-- Layouts ---------------------------------------------------------------------------------------------------------------

-- What stands side by side: sub-floats, figures, images alone in their paragraph, tables; wrappers are looked through.
local function units(content, found)
  for _, block in ipairs(content) do
    if block.t == "Div" and not kind_of(block.identifier) and not block.attributes["layout-ncol"]
      and (#block.classes == 0 or block.classes[1]:match("^cell")) then
      units(block.content, found)
    elseif block.t == "Para" and #block.content > 1 and block.content:find_if(function(x) return x.t == "Image" end) then
      for _, inline in ipairs(block.content) do
        if inline.t == "Image" then found:insert(pandoc.Para({ inline })) end
      end
    else
      found:insert(block)
    end
  end
  return found
end

local function layout(content, columns, parent)
  local out = pandoc.Blocks({})
  out:insert(raw(typst and ("#grid(columns: (1fr,) * " .. columns .. ", column-gutter: 1em, row-gutter: 1em, align: top,")
    or ('<div class="layout" style="--columns: ' .. columns .. '">')))
  for _, unit in ipairs(units(content, pandoc.Blocks({}))) do
    out:insert(raw(typst and "[" or "<div>"))
    out:extend(blocks({ unit }, parent))
    out:insert(raw(typst and "]," or "</div>"))
  end
  out:insert(raw(typst and ")" or "</div>"))
  return out
end

-- Floats ----------------------------------------------------------------------------------------------------------------

-- An image that says nothing itself is described by its caption.
local function describe(content, caption)
  return content:walk({
    Image = function(img)
      if not img.attributes["fig-alt"] and #img.caption == 0 then img.attributes["fig-alt"] = caption end
      return img
    end,
  })
end

local function float(id, kind, content, caption, attr, parent)
  local entry = { kind = kind }
  if parent then
    parent.children = parent.children + 1
    local letter = string.char(96 + parent.children)
    entry.number, entry.mark = parent.number .. NBSP .. "(" .. letter .. ")", "(" .. letter .. ")"
  else
    counts[kind] = counts[kind] + 1
    entry.number, entry.children = tostring(counts[kind]), 0
    entry.mark = NAMES[kind] .. NBSP .. entry.number
  end
  define(id, entry)
  if #caption == 0 and not parent then
    problem("#" .. id, "'" .. id .. "' has no caption; its last paragraph is the caption")
  end
  if kind == "fig" then content = describe(content, pandoc.utils.stringify(caption)) end
  local columns = attr.attributes["layout-ncol"]
  local body = columns and layout(content, columns, entry) or blocks(content, parent or entry)
  local title = pandoc.Inlines({ pandoc.Span({ pandoc.Strong({ pandoc.Str(entry.mark .. (parent and "" or ".")) }) },
    { class = "float-mark" }), pandoc.Space() }) .. caption
  local out, foot = pandoc.Blocks({}), pandoc.Blocks({})
  if typst then
    foot:extend({ raw("], kind: " .. (kind == "tbl" and "table" or "image") .. ", supplement: none, numbering: none, caption: " .. (parent and "align(center)[" or "[")),
      pandoc.Plain(title), raw("]) <" .. id .. ">") })
    out:insert(raw("#figure(["))
  else
    local classes = table.concat({ "float", kind, parent and "sub" or "", table.unpack(attr.classes) }, " ")
    out:insert(raw('<figure id="' .. id .. '" class="' .. classes .. '">'))
    foot:extend({ raw("<figcaption>"), pandoc.Plain(title), raw("</figcaption>") })
    if kind == "tbl" then out, foot = out .. foot, pandoc.Blocks({}) end
    foot:insert(raw("</figure>"))
  end
  return out .. body .. foot
end

-- `::: {#fig-x}` and `::: {#tbl-x}`: the last paragraph is the caption.
local function float_div(div, kind, parent)
  local content, caption = div.content, pandoc.Inlines({})
  local last = content[#content]
  if last and last.t == "Para" and not (#last.content == 1 and last.content[1].t == "Image") then
    caption = last.content
    content:remove(#content)
  elseif kind == "tbl" then -- a Markdown table with its own caption
    for _, block in ipairs(content) do
      if block.t == "Table" and #block.caption.long > 0 then
        caption = pandoc.utils.blocks_to_inlines(block.caption.long)
        block.caption.long = {}
      end
    end
  end
  return float(div.identifier, kind, content, caption, div, parent)
end

-- Callouts --------------------------------------------------------------------------------------------------------------

local banner

local function callout(div, kind)
  local first = div.content[1]
  local title = div.attributes.title and pandoc.utils.blocks_to_inlines(pandoc.read(div.attributes.title, "markdown").blocks)
  if not title and first and first.t == "Header" then
    title = first.content
    div.content:remove(1)
  end
  title = title or pandoc.Inlines({ pandoc.Str(CALLOUTS[kind]) })
  if div.classes:includes("banner") then banner = title end
  local body = blocks(div.content)
  if typst then
    return pandoc.Blocks({ raw('#callout(kind: "' .. kind .. '", title: ['), pandoc.Plain(title), raw("])[") }) .. body .. { raw("]") }
  end
  local foldable, classes = div.attributes.collapse, table.concat(div.classes, " ")
  local open = foldable and ('<details class="callout ' .. classes .. '"' .. (foldable == "false" and " open" or "") .. "><summary>")
    or ('<div class="callout ' .. classes .. '" role="note"><p class="callout-title">')
  return pandoc.Blocks({ raw(open), pandoc.Plain(title), raw(foldable and "</summary>" or "</p>") }) .. body
    .. { raw(foldable and "</details>" or "</div>") }
end

-- Blocks ----------------------------------------------------------------------------------------------------------------

local metadata = {}

local function visible(div)
  local key = div.attributes["when-meta"]
  if key then return pandoc.utils.stringify(metadata[key] or "false") ~= "false" end
  local when, unless = div.attributes["when-format"], div.attributes["unless-format"]
  for _, name in ipairs({ when or unless or "" }) do
    if name ~= "html" and name ~= "typst" then
      problem("-format=\"" .. name, "content for format '" .. name .. "'; known: html, typst")
    end
  end
  local match = (when or unless) == FORMAT:gsub("%d", "")
  if unless then match = not match end
  if div.classes:includes("content-hidden") then match = not match end
  return match
end

-- Classes and attributes that would move things about, and that only Quarto knows.
local function check_layout(div)
  for _, class in ipairs(div.classes) do
    if class:match("^panel%-") or class == "aside" or (class:match("^column") and not COLUMNS[class]) then
      problem("." .. class, "layout '." .. class .. "' is not supported; known: .column-page, .column-body-outset, layout-ncol")
    end
  end
  for _, attribute in ipairs({ "layout", "layout-nrow" }) do
    if div.attributes[attribute] then problem(attribute, "'" .. attribute .. "' is not supported; use layout-ncol") end
  end
end

local function plain_div(div, parent)
  for _, class in ipairs(div.classes) do
    local callout_kind = class:match("^callout%-(.*)")
    if callout_kind then
      if CALLOUTS[callout_kind] then return callout(div, callout_kind) end
      problem(class, "callout '" .. callout_kind .. "' is not known; known: note, tip, important, warning, caution")
    elseif class:match("^content%-") then
      return visible(div) and blocks(div.content, parent) or {}
    end
  end
  if div.attributes["layout-ncol"] then return layout(div.content, div.attributes["layout-ncol"]) end
  div.content = blocks(div.content, parent)
  return { div }
end

local function block(el, parent)
  if el.t == "Div" then
    local kind = kind_of(el.identifier)
    check_layout(el)
    if kind == "fig" or kind == "tbl" then return float_div(el, kind, parent) end
    return plain_div(el, parent)
  elseif el.t == "Figure" then -- an image alone in its paragraph, with a caption
    local img = el.content[1].content[1]
    local id = el.identifier ~= "" and el.identifier or img.identifier
    img.identifier = ""
    local caption = pandoc.utils.blocks_to_inlines(el.caption.long)
    if kind_of(id) == "fig" then
      img.caption = {}
      return float(id, "fig", pandoc.Blocks({ pandoc.Plain({ img }) }), caption, { attributes = {}, classes = {} }, parent)
    end
  elseif el.t == "RawBlock" and el.format == "html" then
    local parsed = raw_html(el)
    if parsed[1] ~= el then return blocks(parsed, parent) end
    return parsed
  elseif el.t == "Table" then
    if el.identifier:match("^tbl%-") and not (parent and labels[el.identifier]) then
      local id, caption = el.identifier, pandoc.utils.blocks_to_inlines(el.caption.long)
      el.identifier, el.caption.long = "", {}
      return float(id, "tbl", pandoc.Blocks({ el }), caption, { attributes = {}, classes = {} }, parent)
    end
    return scrollable(el, parent and parent.mark)
  elseif el.t == "BlockQuote" then
    el.content = blocks(el.content)
  end
  return { el }
end

function blocks(list, parent)
  local out = pandoc.Blocks({})
  for _, el in ipairs(list) do out:extend(block(el, parent)) end
  return out
end

-- Sections --------------------------------------------------------------------------------------------------------------

-- Numbers count from the highest level in use, so `#` and `##` documents come out alike. HTML keeps h1 for the title.
local function sections(doc, numbered)
  local top, number = 6, {}
  doc.blocks:walk({ Header = function(h) top = math.min(top, h.level) end })
  doc.blocks = doc.blocks:walk({
    Header = function(h)
      local level = h.level - top + 1
      h.level = typst and level or level + 1
      local entry = { kind = "sec" }
      if numbered and not h.classes:includes("unnumbered") then
        number[level] = (number[level] or 0) + 1
        for deeper = level + 1, 6 do number[deeper] = nil end
        for higher = 1, level do number[higher] = number[higher] or 0 end
        entry.number = table.concat(number, ".")
        if not typst then
          h.content = pandoc.Inlines({ pandoc.Span({ pandoc.Str(entry.number) }, { class = "header-section-number" }),
            pandoc.Space() }) .. h.content
        end
      end
      if typst and not entry.number then h.classes:insert("unnumbered") end
      define(h.identifier, entry)
      return h
    end,
  })
end

-- References and citations ----------------------------------------------------------------------------------------------

local function reference(cite)
  local out, others = pandoc.Inlines({}), 0
  for _, c in ipairs(cite.citations) do
    local kind, entry = kind_of(c.id), labels[c.id]
    if not kind then
      others = others + 1
    elseif not entry then
      problem("@" .. c.id, "'@" .. c.id .. "' refers to nothing; label something {#" .. c.id .. "}")
    elseif not entry.number then
      problem("@" .. c.id, "'@" .. c.id .. "' refers to a section without a number; link to it with [text](#" .. c.id .. ")")
    else
      local name = #c.prefix > 0 and c.prefix or pandoc.Inlines({ pandoc.Str(NAMES[kind]) })
      local text = c.mode == "SuppressAuthor" and pandoc.Inlines({}) or name .. { pandoc.Str(NBSP) }
      if #out > 0 then out:extend({ pandoc.Str(","), pandoc.Space() }) end
      out:insert(pandoc.Link(text .. { pandoc.Str(entry.number) }, "#" .. c.id, "", { class = "reference" }))
    end
  end
  if others == 0 then return out end
  if others < #cite.citations then problem("@" .. cite.citations[1].id, "one bracket mixes citations and cross-references; write two") end
end

local function citations(doc)
  local known = {}
  local ok, entries = pcall(pandoc.utils.references, doc)
  for _, entry in ipairs(ok and entries or {}) do known[entry.id] = true end
  doc.blocks:walk({
    Cite = function(cite)
      for _, c in ipairs(cite.citations) do
        if not known[c.id] then
          problem("@" .. c.id, "citation '@" .. c.id .. "' is in no bibliography; add it to the file named by 'bibliography'")
        end
      end
    end,
    Str = function(el)
      if el.text:match("^{#eq%-") then problem(el.text, "equations take no label; refer to them in words") end
    end,
  })
  if #problems > 0 or not doc.meta.bibliography then return doc end
  return pandoc.utils.citeproc(doc)
end

-- Title block -----------------------------------------------------------------------------------------------------------

local function list(value)
  if not value then return {} end
  return pandoc.utils.type(value) == "List" and value or { value }
end

-- `by-author` has the shape that Quarto gives it, so that one typst partial serves both.
local function authors(meta)
  local out = pandoc.List({})
  for _, author in ipairs(list(meta.author)) do
    if pandoc.utils.type(author) ~= "table" then author = { name = author } end
    local affiliations = pandoc.List({})
    for _, place in ipairs(list(author.affiliations or author.affiliation)) do
      affiliations:insert(pandoc.utils.type(place) == "table" and place or { name = place })
    end
    out:insert({ name = { literal = author.name }, orcid = author.orcid, email = author.email, url = author.url,
      affiliations = affiliations })
  end
  meta["by-author"] = out
  meta["author-meta"] = out:map(function(author) return pandoc.utils.stringify(author.name.literal) end)
end

function Pandoc(doc)
  local meta = doc.meta
  metadata = meta
  authors(meta)
  doc.blocks = blocks(doc.blocks)
  if banner then meta.banner = pandoc.MetaInlines(banner) end
  sections(doc, meta["number-sections"])
  doc = doc:walk({ Cite = reference, Image = image })
  doc = citations(doc)
  if #problems > 0 then
    for _, line in ipairs(problems) do io.stderr:write("problem\t" .. line .. "\n") end
    os.exit(3)
  end
  return doc
end
