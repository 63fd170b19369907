# From pretraining to measurements, in small: simclr leaves a run, and evaluate, embed and similar use it.
bin=$1
work=$2
set -e
cd "$work"
fail() {
  echo "FAILED: $1"
  exit 1
}
"$bin/simclr" --data builtin --limit 160 --epochs 1 --batch 32 --encoder cakenet-w8 --out run >simclr.txt 2>&1 || { cat simclr.txt; fail simclr; }

cp run/config.json config-of-the-run.json
"$bin/evaluate" --run run --limit 160 --probe-epochs 5 --labels-per-class 2 --epochs 2 --batch 10 >table.txt 2>evaluate.txt || {
  cat evaluate.txt
  fail evaluate
}
for key in pixels_knn200 random_knn200 knn10 knn200 linear stages fine_tune from_scratch; do
  grep -q "\"$key\"" run/evaluation.json || fail "evaluation.json has no $key"
done
# Shares of pictures lie between 0 and 1, and there is one probe per stage (cakenet has three).
awk '/^ *"(pixels_knn200|random_knn200|knn10|knn200|linear|fine_tune|from_scratch)":/ { gsub(",", ""); n++; if (!($2 >= 0 && $2 <= 1)) exit 1 }
     /"stages": *\[/ { inside = 1 } inside && /^ *[0-9.e-]+,?$/ { gsub(",", ""); s++; if (!($1 >= 0 && $1 <= 1)) exit 1 } /\]/ { inside = 0 }
     END { if (n != 7 || s != 3) exit 1 }' run/evaluation.json || { cat run/evaluation.json; fail 'evaluation.json has other numbers'; }
for option in '"probe-epochs": 5' '"labels-per-class": 2' '"epochs": 2' '"batch": 10' '"lr": 0.03' '"seed": "0"'; do
  grep -q -e "$option" run/evaluation.json || fail "evaluation.json does not tell $option"
done
grep -q '160 train and 160 test pictures of builtin' table.txt || fail 'the table does not name the pictures'
for row in 'raw pixels' 'untrained encoder' 'pretrained encoder' 'after stage 3' 'from scratch'; do
  grep -q "$row" table.txt || fail "the table has no row '$row'"
done
grep -q 'linear probe after stage 1' run/report.html || fail 'report.html has no results'
grep -q '<polyline' run/report.html || fail 'report.html has no curves'
if grep -q 'https\?://' run/report.html; then fail 'report.html names an address'; fi

"$bin/embed" --run run --limit 50 --out features >embed.txt 2>&1 || { cat embed.txt; fail embed; }
[ "$(wc -l <features/files.txt)" -eq 50 ] || fail 'files.txt has not one line per picture'
head -c 6 features/features.npy | grep -q NUMPY || fail 'features.npy is no npy file'
head -c 128 features/features.npy | grep -qF '(50, ' || fail 'features.npy has not one row per picture'
head -c 128 features/labels.npy | grep -qF '(50,)' || fail 'labels.npy has not one number per picture'

# Pictures without labels: those of the pictures before them do not stay.
mkdir photos
for name in rgb.png rgb.bmp baseline.jpg progressive.jpg; do cp "$SSLCAKE_SOURCE_DIR/tests/fixtures/image/$name" photos/; done
cp -R features features-before
"$bin/embed" --run run --data folder:photos --out features-before >embed.txt 2>&1 || { cat embed.txt; fail 'embed without labels'; }
[ -e features-before/labels.npy ] && fail 'labels of other pictures stayed'
[ "$(wc -l <features-before/files.txt)" -eq 4 ] || fail 'files.txt has not one line per picture of the folder'

"$bin/similar" --run run --limit 60 --random 3 --neighbours 4 --out near >similar.txt 2>&1 || { cat similar.txt; fail similar; }
[ "$(grep -c '^  [01]' similar.txt)" -eq 12 ] || fail 'similar does not list 4 neighbours of 3 pictures'
# A picture file as query: the sheet itself is one.
"$bin/similar" --run run --limit 60 --query near/similar.png --neighbours 2 --out near2 >similar2.txt 2>&1 || { cat similar2.txt; fail 'similar --query'; }
if "$bin/similar" --run run --limit 60 --query missing.jpg --out near3 >similar3.txt 2>&1; then fail 'a missing query was accepted'; fi
grep -q 'missing.jpg' similar3.txt || fail 'the missing query is not named'

# Nobody has to read the list, which here is longer than a buffer.
"$bin/similar" --run run --limit 60 --random 60 --tile 16 --out near4 2>similar4.txt | true
[ -s near4/similar.png ] || fail 'similar left no sheet where its list was not read to the end'
if [ -c /dev/full ]; then
  "$bin/evaluate" --run run --limit 60 --probe-epochs 1 --out lost >/dev/full 2>lost.txt && fail 'a table that could not be written was a success'
  grep -q 'cannot write the results to standard output' lost.txt || fail 'no clear message for a table that could not be written'
  [ -s lost/evaluation.json ] || fail 'evaluation.json was lost with the table'
fi

"$bin/dots" --epochs 600 --lr 1 --out dots >dots.txt 2>&1 || { cat dots.txt; fail dots; }
[ -s dots/linear.png ] && [ -s dots/network.png ] || fail 'dots left no pictures'
"$bin/dots" --config dots/config.json --out dots2 >dots2.txt 2>&1 || { cat dots2.txt; fail 'dots --config'; }
cmp dots/network.png dots2/network.png || fail 'dots --config gave another picture'

# Every program says in config.json how it was called, except in the folder of a run, whose own stays.
"$bin/embed" --encoder run/encoder.safetensors --limit 50 --out run >embed2.txt 2>&1 || { cat embed2.txt; fail 'embed into the run'; }
"$bin/dots" --epochs 1 --scaled-decode --out run >dots3.txt 2>&1 || { cat dots3.txt; fail 'dots into the run'; }
grep -q 'note: --scaled-decode has no meaning for dots' dots3.txt || fail 'dots gives --scaled-decode a meaning'
cmp run/config.json config-of-the-run.json || fail 'the configuration of the training was written over'
grep -q '"program": "embed"' features/config.json || fail 'embed left no config.json'
"$bin/embed" --encoder run/encoder.safetensors --limit 50 --stage 9 --out stage >out 2>err && fail 'embed took a stage that does not exist'
grep -q -e '--stage expects a number up to 3 for this encoder, got 9' err || fail 'no clear message for a stage that does not exist'
"$bin/embed" --config features/config.json --out features2 >embed3.txt 2>&1 || { cat embed3.txt; fail 'embed --config'; }
cmp features/features.npy features2/features.npy || fail 'embed --config gave other features'
# A run that is named on the command line, and not the one of the config.json.
cp -R run other
"$bin/embed" --config features/config.json --run other --out features3 >embed4.txt 2>&1 || { cat embed4.txt; fail 'embed --config --run'; }
grep -q 'from other/encoder.safetensors' embed4.txt || fail 'embed --config --run took the encoder of the run in --config'
"$bin/similar" --run run --limit 60 --random 200 --tile 1024 --out big >big.txt 2>&1 && fail 'a sheet of any size'
grep -q 'choose a smaller --tile' big.txt || fail 'no clear message for a sheet that is too large'

# The configuration of the training says which pictures, and not how to evaluate.
"$bin/evaluate" --run run --config run/config.json --probe-epochs 1 --labels-per-class 1 --epochs 1 --out again >again.txt 2>&1 || { cat again.txt; fail 'evaluate --config of a run'; }
grep -q 'note: of run/config.json not used here:.* --encoder .*--batch .*--lr ' again.txt || fail 'evaluate does not say what it left out of the run'
grep -q '"lr": 0.03' again/evaluation.json || fail 'evaluate took the learning rate of the pretraining'
grep -q '160 train and 160 test pictures of builtin' again.txt || fail 'evaluate left the limit out'

# A folder of two classes without a part to test on: a fifth is held out, and that is told. With one: it is taken.
mkdir -p classes/a classes/b parts/train parts/test/b
for i in 1 2 3 4 5; do
  cp photos/rgb.png classes/a/$i.png
  cp photos/baseline.jpg classes/b/$i.jpg
done
cp -R classes/a classes/b parts/train/
cp photos/baseline.jpg parts/test/b/one.jpg
"$bin/evaluate" --run run --data folder:classes --probe-epochs 1 --out held >held.txt 2>&1 || { cat held.txt; fail 'evaluate on a folder'; }
grep -q 'note: folder:classes has no test part .*a fifth of the pictures is held out, which pretraining on this folder has seen' held.txt || fail 'held out in silence'
grep -q '"test_part": "a fifth, held out; pretraining on this folder has seen it' held/evaluation.json || fail 'evaluation.json does not say what was held out'
"$bin/evaluate" --run run --data folder:parts --probe-epochs 1 --out one >one.txt 2>&1 || { cat one.txt; fail 'evaluate on one test picture'; }
grep -q '10 train and 1 test pictures of folder:parts' one.txt || fail 'the folder test was not taken'
grep -q test_part one/evaluation.json && fail 'something was held out beside a test part'

# Pictures that a run names by a path from elsewhere.
mkdir away
sed 's/"data": "[^"]*"/"data": "folder:no-such-folder"/' run/config.json >away/config.json
cp run/encoder.safetensors away/
for program in evaluate embed similar; do
  "$bin/$program" --run away >out 2>err && fail "$program found pictures that are not there"
  grep -q "$program: \[run\] the pictures that away/config.json names, folder:no-such-folder, are not there" err || fail "$program does not say where the path came from"
done

# A folder that does not say which pictures it was trained on.
mkdir bare
cp run/encoder.safetensors bare/
for program in evaluate embed similar; do
  "$bin/$program" --run bare >out 2>err && fail "$program chose pictures by itself"
  grep -q "$program: \[run\] bare has no config.json that names its pictures; name them with --data" err || fail "$program does not ask for the pictures"
done
exit 0
