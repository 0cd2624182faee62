#!/bin/sh
# Fetches the libraries of the web UI from npm into ui/vendor, each in the version named here, with
# its licence. Only needed to change a version: what is fetched is kept in the repository, so neither
# a build nor a start needs npm.
#
# Two changes are made: hooks.js imports preact by its file, since a browser knows no package names,
# and the few icons that are used become one sprite.
set -eu

preact=11.2.0
htm=3.1.1
uplot=1.6.32
lucide=1.62.0
icons="activity archive check chevron-left chevron-right circle-alert circle-pause circle-play circle-x
clock copy download external-link gauge globe inbox key-round keyboard languages list-todo log-out moon
network plus refresh-cw rotate-ccw scroll-text search server shield-check sun sun-moon triangle-alert
users wifi wifi-off x zap layers file-text ban arrow-up-down trash-2 monitor"

cd "$(dirname "$0")/../ui/vendor"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() {
    (cd "$work" && npm pack --silent "$1@$2" >/dev/null && mkdir "$1" &&
        tar xzf "$1-$2.tgz" -C "$1" --strip-components=1)
}

fetch preact "$preact"
fetch htm "$htm"
fetch uplot "$uplot"
fetch lucide-static "$lucide"

plain() { sed '/^\/\/# sourceMappingURL=/d' "$1"; }

plain "$work/preact/dist/preact.mjs" >preact.js
plain "$work/preact/hooks/dist/hooks.mjs" | sed 's/from"preact"/from".\/preact.js"/g' >hooks.js
plain "$work/htm/dist/htm.mjs" >htm.js
plain "$work/uplot/dist/uPlot.iife.min.js" >uplot.js
cp "$work/uplot/dist/uPlot.min.css" uplot.css

{
    echo "<!-- Icons of lucide-static $lucide, ISC licence: LICENSE-lucide -->"
    echo '<svg xmlns="http://www.w3.org/2000/svg">'
    for icon in $icons; do
        printf '<symbol id="%s" viewBox="0 0 24 24">' "$icon"
        tr '\n' ' ' <"$work/lucide-static/icons/$icon.svg" |
            sed -e 's/.*stroke-linejoin="round" *>//' -e 's/<\/svg>.*//' -e 's/  */ /g' -e 's/^ //' -e 's/ $//'
        echo '</symbol>'
    done
    echo '</svg>'
} >icons.svg

for name in preact htm lucide-static uplot; do
    cp "$work/$name/LICENSE" "LICENSE-${name%-static}"
done
cat >README.md <<END
# Libraries of the web UI

Written by \`scripts/vendor-ui.sh\`, which names the versions. Do not edit these files.

| file | from npm | licence |
|---|---|---|
| preact.js, hooks.js | preact $preact | MIT, [LICENSE-preact](LICENSE-preact) |
| htm.js | htm $htm | Apache-2.0, [LICENSE-htm](LICENSE-htm) |
| uplot.js, uplot.css | uplot $uplot | MIT, [LICENSE-uplot](LICENSE-uplot) |
| icons.svg | lucide-static $lucide | ISC and MIT, [LICENSE-lucide](LICENSE-lucide) |
END
sha256sum htm.js hooks.js icons.svg preact.js uplot.css uplot.js >SHA256SUMS
