"""The words that a large shop's products are named and described with, in English and German."""

# ruff: noqa: E501 - a category a line is easier to read

from random import Random

# What is sold in each category of the sample, in its order. German nouns have their gender behind a slash.
THINGS = {
    "Home": (
        "Lamp, Curtain, Cushion, Bookshelf, Wardrobe, Carpet, Candle Holder, Coat Rack, Mirror, Sofa",
        "Lampe/f, Vorhang/m, Kissen/n, Bücherregal/n, Kleiderschrank/m, Teppich/m, Kerzenständer/m, Türklinke/f, Spiegel/m, Sofa/n",
    ),
    "Electronics": (
        "Headphones, Loudspeaker, Television, Camera, Charger, Smartwatch, Projector, Power Bank, Radio, Tablet",
        "Kopfhörer/m, Lautsprecher/m, Fernseher/m, Kamera/f, Ladegerät/n, Armbanduhr/f, Beamer/m, Steckdosenleiste/f, Radio/n, Tablet/n",
    ),
    "Garden": (
        "Bench, Lawn Mower, Watering Can, Flower Pot, Wheelbarrow, Hedge Trimmer, Greenhouse, Hammock, Spade, Parasol",
        "Gartenbank/f, Rasenmäher/m, Gießkanne/f, Blumentopf/m, Schubkarre/f, Heckenschere/f, Gewächshaus/n, Hängematte/f, Spaten/m, Sonnenschirm/m",
    ),
    "Books": (
        "Cookbook, Novel, Dictionary, Atlas, Notebook, Diary, Picture Book, Travel Guide",
        "Kochbuch/n, Roman/m, Wörterbuch/n, Atlas/m, Notizbuch/n, Tagebuch/n, Bilderbuch/n, Reiseführer/m",
    ),
    "Movies": (
        "Documentary, Thriller, Comedy, Western, Musical, Box Set",
        "Dokumentarfilm/m, Krimi/m, Komödie/f, Zeichentrickfilm/m, Märchenfilm/m, Sammelbox/f",
    ),
    "Music": (
        "Guitar, Violin, Drum Kit, Piano, Trumpet, Metronome, Music Stand, Ukulele",
        "Gitarre/f, Geige/f, Schlagzeug/n, Klavier/n, Trompete/f, Metronom/n, Notenständer/m, Flöte/f",
    ),
    "Games": (
        "Chess Set, Puzzle, Board Game, Card Game, Dice Cup, Joystick, Dart Board",
        "Schachspiel/n, Puzzle/n, Brettspiel/n, Kartenspiel/n, Würfelbecher/m, Steuerknüppel/m, Dartscheibe/f",
    ),
    "Computers": (
        "Keyboard, Mouse, Monitor, Laptop, Printer, Scanner, Hard Drive, Docking Station, Webcam, Router",
        "Tastatur/f, Maus/f, Bildschirm/m, Laptop/m, Drucker/m, Scanner/m, Festplatte/f, Grafikkarte/f, Webcam/f, Router/m",
    ),
    "Tools": (
        "Hammer, Screwdriver, Cordless Drill, Workbench, Spanner, Saw, Spirit Level, Tool Box, Ladder",
        "Hammer/m, Schraubendreher/m, Akkubohrer/m, Werkbank/f, Schraubenschlüssel/m, Säge/f, Wasserwaage/f, Werkzeugkoffer/m, Leiter/f",
    ),
    "Grocery": (
        "Coffee, Green Tea, Olive Oil, Honey, Chocolate, Pasta, Muesli, Mustard",
        "Kaffee/m, Kräutertee/m, Olivenöl/n, Honig/m, Schokolade/f, Nudelpackung/f, Müsli/n, Käsefondue/n",
    ),
    "Health": (
        "Thermometer, Massage Gun, Heating Pad, First Aid Kit, Scale, Yoga Block",
        "Fieberthermometer/n, Massagegerät/n, Wärmflasche/f, Hausapotheke/f, Körperwaage/f, Blutdruckmesser/m",
    ),
    "Beauty": (
        "Hair Dryer, Lipstick, Face Cream, Perfume, Nail Polish, Comb, Brush",
        "Haartrockner/m, Lippenstift/m, Gesichtscreme/f, Parfüm/n, Nagellack/m, Kamm/m, Bürste/f",
    ),
    "Toys": (
        "Teddy Bear, Building Blocks, Doll, Toy Train, Kite, Marble Run, Spinning Top",
        "Teddybär/m, Baukasten/m, Puppe/f, Eisenbahn/f, Drachen/m, Murmelbahn/f, Kreisel/m",
    ),
    "Kids": (
        "Backpack, Lunch Box, Crayons, Bunk Bed, Desk, Scooter",
        "Schulranzen/m, Brotdose/f, Malkasten/m, Hochbett/n, Schreibtisch/m, Roller/m",
    ),
    "Baby": (
        "Stroller, High Chair, Cradle, Bottle Warmer, Blanket, Rattle, Car Seat",
        "Kinderwagen/m, Hochstuhl/m, Wiege/f, Fläschchenwärmer/m, Krabbeldecke/f, Rassel/f, Kindersitz/m",
    ),
    "Clothing": (
        "Shirt, Trousers, Dress, Jacket, Scarf, Gloves, Hat, Socks, Raincoat, T-Shirt",
        "Hemd/n, Hose/f, Kleid/n, Jacke/f, Schal/m, Mütze/f, Gürtel/m, Strumpfhose/f, Regenmantel/m, T-Shirt/n",
    ),
    "Shoes": (
        "Running Shoes, Boots, Sandals, Slippers, Sneakers, Ballet Shoes",
        "Laufschuh/m, Stiefel/m, Sandale/f, Hausschuh/m, Turnschuh/m, Tanzschuh/m",
    ),
    "Jewelry": (
        "Necklace, Ring, Bracelet, Earrings, Brooch, Cufflinks",
        "Halskette/f, Ring/m, Armreif/m, Ohrstecker/m, Brosche/f, Manschettenknopf/m",
    ),
    "Sports": (
        "Ball, Bike, Tennis Racket, Dumbbell, Treadmill, Skipping Rope, Helmet, Swimming Goggles",
        "Fußball/m, Fahrrad/n, Tennisschläger/m, Hantel/f, Laufband/n, Springseil/n, Helm/m, Schwimmbrille/f",
    ),
    "Outdoors": (
        "Tent, Sleeping Bag, Rucksack, Compass, Camping Stove, Torch, Canoe, Binoculars",
        "Zelt/n, Schlafsack/m, Rucksack/m, Kompass/m, Campingkocher/m, Taschenlampe/f, Kanu/n, Fernglas/n",
    ),
    "Automotive": (
        "Roof Box, Floor Mat, Jump Starter, Tyre Pump, Steering Wheel Cover, Dash Cam",
        "Dachbox/f, Fußmatte/f, Starthilfekabel/n, Luftpumpe/f, Lenkradbezug/m, Anhängerkupplung/f",
    ),
    "Industrial": (
        "Forklift, Conveyor Belt, Pallet Jack, Safety Vest, Compressor, Storage Rack",
        "Gabelstapler/m, Förderband/n, Hubwagen/m, Warnweste/f, Kompressor/m, Lagerregal/n",
    ),
}

ADJECTIVES = (
    "Elegant, Handmade, Rustic, Refined, Sleek, Gorgeous, Practical, Modern, Recycled, Foldable, Waterproof, Lightweight, Vintage, Compact, Portable, Wireless, Adjustable, Durable, Quiet, Colourful, Large, Small, Red, Blue, Green, Black, White, Grey, Yellow, Professional",
    "elegant, robust, schlicht, fein, handlich, prächtig, praktisch, modern, nachhaltig, faltbar, wasserdicht, leicht, klassisch, kompakt, tragbar, kabellos, verstellbar, haltbar, leis, bunt, groß, klein, rot, blau, grün, schwarz, weiß, grau, gelb, gemütlich",
)
MATERIALS = (
    "Marble, Wooden, Oak, Steel, Cotton, Granite, Bamboo, Bronze, Ceramic, Rubber, Leather, Glass, Linen, Velvet, Copper, Walnut, Aluminium, Plastic, Wool, Cork",
    "Marmor, Holz, Eiche, Edelstahl, Baumwolle, Granit, Bambus, Bronze, Keramik, Gummi, Leder, Glas, Leinen, Samt, Kupfer, Nussbaum, Aluminium, Kunststoff, Wolle, Kork",
)
PRAISE = (
    (
        "Easy to clean and built to last.",
        "Ships in plain paper, without plastic.",
        "A welcome gift for birthdays and weddings.",
        "Comes with three years of guarantee.",
        "Spare parts are available for ten years.",
        "Tested by our customers in daily use.",
        "Fits into every room, every bag and every budget.",
        "Designed in a small workshop near the sea.",
        "Assembled in minutes, without any tools.",
        "Made of renewable resources by fair hands.",
    ),
    (
        "Leicht zu reinigen und für viele Jahre gemacht.",
        "Wird in Papier verschickt, ganz ohne Plastik.",
        "Ein schönes Geschenk zu Geburtstag und Hochzeit.",
        "Mit drei Jahren Garantie.",
        "Ersatzteile gibt es zehn Jahre lang.",
        "Von unseren Kunden im Alltag geprüft.",
        "Passt in jedes Zimmer, jede Tasche und jeden Geldbeutel.",
        "Entworfen in einer kleinen Werkstatt am Meer.",
        "In wenigen Minuten aufgebaut, auch ohne Werkzeug.",
        "Aus nachwachsenden Rohstoffen fair hergestellt.",
    ),
)
ENDINGS = {"m": "er", "f": "e", "n": "es"}

NOUNS = [[language.split(", ") for language in things] for things in THINGS.values()]
WORDS = [[words.split(", ") for words in languages] for languages in (ADJECTIVES, MATERIALS)]


def product_texts(category: int, random: Random) -> tuple[str, str]:
    """Return name and description of a product, half of them German; the category is counted from 0."""
    language = random.randrange(2)
    noun = random.choice(NOUNS[category][language])
    adjective, material = (random.choice(words[language]) for words in WORDS)
    model = f"{random.choice('ABDEGKLMRSTVX')}-{random.randint(1, 999)}"
    if language:
        noun, _, gender = noun.partition("/")
        name = f"{adjective.capitalize()}{ENDINGS[gender]} {noun} aus {material} {model}"
    else:
        name = f"{adjective} {material} {noun} {model}"
    return name, " ".join(random.sample(PRAISE[language], 2))
